//! Text that stays printable ASCII without `+` and `=` on the wire (RFC 3461 section 4).
