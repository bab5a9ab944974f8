//! Nothing but a place for `benches/`: cargo wants a target, the measurements live there.
