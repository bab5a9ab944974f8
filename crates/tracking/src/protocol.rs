//! The protocol logs: one line of an SMTP conversation, and its nine fields.

use std::net::SocketAddr;

use crate::layout::Layout;
use crate::value::Value;

const FIELDS: &[&str] = &[
    "date-time",
    "connector-id",
    "session-id",
    "sequence-number",
    "local-endpoint",
    "remote-endpoint",
    "event",
    "data",
    "context",
];

/// What receive connectors heard and said.
pub const RECEIVE_PROTOCOL: Layout = Layout {
    prefix: "RECV",
    log_type: "SMTP Receive Protocol Log",
    version: env!("CARGO_PKG_VERSION"),
    fields: FIELDS,
};

/// What Send connectors said and heard.
pub const SEND_PROTOCOL: Layout =
    Layout { prefix: "SEND", log_type: "SMTP Send Protocol Log", ..RECEIVE_PROTOCOL };

/// One row of a protocol log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolLine<'a> {
    /// `connector-id`
    pub connector: &'a str,
    /// `session-id`; written as 16 hexadecimal digits.
    pub session: u64,
    /// `sequence-number`, from 0 on in each session.
    pub sequence: u64,
    /// `local-endpoint`
    pub local: SocketAddr,
    /// `remote-endpoint`
    pub remote: SocketAddr,
    /// `event`: `+` connect, `-` disconnect, `>` sent, `<` received, `*` information; others become `*`.
    pub event: char,
    /// `data`; without secrets, which nobody strikes out here.
    pub data: &'a str,
    /// `context`
    pub context: &'a str,
}

impl ProtocolLine<'_> {
    /// Its fields, those behind `date-time`.
    pub fn values(&self) -> Vec<Value> {
        let event = match self.event {
            '+' => "+",
            '-' => "-",
            '>' => ">",
            '<' => "<",
            _ => "*",
        };
        vec![
            Value::text(self.connector),
            Value::Text(format!("{:016X}", self.session)),
            Value::Number(self.sequence),
            Value::Text(self.local.to_string()),
            Value::Text(self.remote.to_string()),
            Value::Word(event),
            Value::text(self.data),
            Value::text(self.context),
        ]
    }
}

#[cfg(test)]
mod tests {
    use postroad_message::Timestamp;

    use super::*;
    use crate::csv;

    #[test]
    fn a_line_as_exchange_writes_it() {
        let mut line = ProtocolLine {
            connector: "Hub01\\Default",
            session: 0x08D6_75E5_8CA1_DA38,
            sequence: 0,
            local: "10.0.0.6:25".parse().unwrap(),
            remote: "[2001:db8::1]:61061".parse().unwrap(),
            event: '+',
            data: "",
            context: "",
        };
        let at = Timestamp::from_unix_millis(1_548_374_638_478);
        let start =
            "2019-01-25T00:03:58.478Z,Hub01\\Default,08D675E58CA1DA38,0,10.0.0.6:25,[2001:db8::1]:61061,";
        assert_eq!(csv::row(at, &line.values()), format!("{start}+,,\r\n"));
        (line.event, line.data) = ('>', "550 5.7.1 no, \"relay\" denied");
        assert_eq!(
            csv::row(at, &line.values()),
            format!("{start}>,\"550 5.7.1 no, \"\"relay\"\" denied\",\r\n")
        );
        assert_eq!(RECEIVE_PROTOCOL.fields.len(), line.values().len() + 1);
    }
}
