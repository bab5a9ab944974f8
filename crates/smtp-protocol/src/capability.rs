//! What a server says it can do: the lines of its EHLO reply.
