//! The content between DATA and its final dot: stuffing, unstuffing, and the one judgement of line ends.
