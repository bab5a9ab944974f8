//! Whatever parses as an enhanced status is written and parsed again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postroad_message::EnhancedStatus;

fuzz_target!(|text: &str| {
    if let Ok(status) = text.parse::<EnhancedStatus>() {
        assert_eq!(status.to_string().parse(), Ok(status));
    }
});
