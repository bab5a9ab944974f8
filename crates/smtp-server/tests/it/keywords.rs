//! What EHLO says: each parameter of a connector that names a keyword adds it, or takes it away.

use postroad_smtp_server::{ReceiveConnector, SizeEnabled};

use crate::house::{House, connector};

type Change = fn(&mut ReceiveConnector);

async fn said(change: Change) -> Vec<String> {
    let mut changed = connector("Default");
    change(&mut changed);
    let house = House::with(changed).await;
    let reply = house.connect().await.ask("EHLO a", "250-").await;
    reply.lines().skip(1).map(|line| line[4..].to_owned()).collect()
}

#[tokio::test]
async fn each_parameter_has_its_keyword_and_changes_no_other() {
    let usual = said(|_| ()).await;
    let all = "SIZE 37748736,PIPELINING,DSN,ENHANCEDSTATUSCODES,8BITMIME,CHUNKING,BINARYMIME,SMTPUTF8,LIMITS RCPTMAX=200";
    assert_eq!(usual, all.split(',').collect::<Vec<_>>());
    let taken_away: [(Change, &[&str]); 8] = [
        (|c| c.pipelining_enabled = false, &["PIPELINING"]),
        (|c| c.delivery_status_notification_enabled = false, &["DSN"]),
        (|c| c.enhanced_status_codes_enabled = false, &["ENHANCEDSTATUSCODES"]),
        (|c| c.eight_bit_mime_enabled = false, &["8BITMIME"]),
        (|c| c.binary_mime_enabled = false, &["BINARYMIME"]),
        (|c| (c.chunking_enabled, c.binary_mime_enabled) = (false, false), &["CHUNKING", "BINARYMIME"]),
        (|c| c.size_enabled = SizeEnabled::Disabled, &["SIZE 37748736"]),
        (|_| (), &[]),
    ];
    for (change, words) in taken_away {
        let left: Vec<_> = usual.iter().filter(|word| !words.contains(&word.as_str())).cloned().collect();
        assert_eq!(said(change).await, left, "without {words:?}");
    }
    let added: [(Change, &str); 4] = [
        (|c| c.long_addresses_enabled = true, "XLONGADDR"),
        (|c| c.size_enabled = SizeEnabled::EnabledWithoutValue, "SIZE"),
        (|c| c.max_message_size = 65_536, "SIZE 65536"),
        (|c| c.max_recipients_per_message = 7, "LIMITS RCPTMAX=7"),
    ];
    for (change, word) in added {
        assert!(said(change).await.iter().any(|line| line == word), "{word}");
    }
}
