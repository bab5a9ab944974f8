//! Cuts the command stream into lines, and never holds more than one.
