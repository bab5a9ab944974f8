//! The demo's own name server: one zone, MX and A records, over UDP on a loopback port.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, MX};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;

/// Names and what they resolve to.
#[derive(Default)]
pub(crate) struct Zone {
    records: BTreeMap<Name, Vec<RData>>,
}

impl Zone {
    /// `name` takes its mail at `exchange`.
    pub(crate) fn mx(mut self, name: &str, preference: u16, exchange: &str) -> Self {
        if let (Ok(name), Ok(exchange)) = (fqdn(name), fqdn(exchange)) {
            self.records.entry(name).or_default().push(RData::MX(MX::new(preference, exchange)));
        }
        self
    }

    /// `name` is the host at `address`.
    pub(crate) fn a(mut self, name: &str, address: Ipv4Addr) -> Self {
        if let Ok(name) = fqdn(name) {
            self.records.entry(name).or_default().push(RData::A(A(address)));
        }
        self
    }

    /// Answers on a free loopback port until the returned task is aborted.
    pub(crate) async fn serve(self) -> io::Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        let task = tokio::spawn(async move {
            let mut packet = vec![0; 4096];
            while let Ok((length, asker)) = socket.recv_from(&mut packet).await {
                let answer = packet.get(..length).and_then(|query| self.answer(query));
                if let Some(answer) = answer {
                    let _ = socket.send_to(&answer, asker).await;
                }
            }
        });
        Ok((address, task))
    }

    fn answer(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let query = Message::from_vec(packet).ok()?;
        let question = query.queries.first()?.clone();
        let mut answer = Message::new(query.metadata.id, MessageType::Response, query.metadata.op_code);
        answer.metadata.authoritative = true;
        answer.metadata.recursion_desired = query.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        match self.records.get(&question.name.to_lowercase()) {
            None => answer.metadata.response_code = ResponseCode::NXDomain,
            Some(records) => {
                for data in records.iter().filter(|data| matches(data, question.query_type)) {
                    answer.add_answer(Record::from_rdata(question.name.clone(), 60, data.clone()));
                }
            }
        }
        answer.add_query(question);
        answer.to_vec().ok()
    }
}

fn matches(data: &RData, asked: RecordType) -> bool {
    asked == RecordType::ANY || data.record_type() == asked
}

fn fqdn(name: &str) -> Result<Name, hickory_proto::ProtoError> {
    let mut name = Name::from_ascii(name)?.to_lowercase();
    name.set_fqdn(true);
    Ok(name)
}
