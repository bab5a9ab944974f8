//! The SMTP client, by its own face, against servers that people run: each thing it is said to do, seen by the other side.

mod client;
mod dovecot;
mod exim;
mod matrix;
mod names;
mod opensmtpd;
mod smtp_sink;
mod socks;
