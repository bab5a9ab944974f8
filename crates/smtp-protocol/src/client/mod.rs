//! The client side of a session: what is said, what is awaited, and one outcome for each recipient.
