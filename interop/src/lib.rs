//! Real mail programs under test control: each is started on free loopback ports in a temporary folder, and ended.
