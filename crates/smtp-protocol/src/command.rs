//! The commands of a client, as a server reads them.
