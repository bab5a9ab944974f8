//! The path in MAIL FROM and RCPT TO: reverse-path and forward-path.
