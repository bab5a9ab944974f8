//! Replies of a server, as a client reads them.
