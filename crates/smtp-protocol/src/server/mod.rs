//! The server side of a session: events to judge, and the replies that follow the verdicts.
