//! Sends one message through a smart host that wants TLS and a password:
//! `PASSWORD=... send_through_smart_host smtp-relay.example.com relay@contoso.com jane@fabrikam.com < message.eml`

use std::io::Read as _;

use postroad_message::{Envelope, Recipient, ReversePath};
use postroad_smtp_client::{
    Authentication, CertificateName, Credential, Destination, Hosts, Secret, SmartHost, SmtpClient,
    TlsPolicy, Verification,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, user, recipients @ ..] = arguments.as_slice() else {
        return Err("HOST USER RECIPIENT...".into());
    };
    let recipients: Result<Vec<_>, _> =
        recipients.iter().map(|text| text.parse().map(Recipient::new)).collect();
    let envelope = Envelope::new(ReversePath::Mailbox(user.parse()?), recipients?);
    let mut destination =
        Destination::new(Hosts::SmartHosts(vec![SmartHost::Name(host.parse()?)]), "localhost".parse()?);
    destination.port = 587;
    destination.tls = TlsPolicy::Required { verify: Verification::DomainValidation(CertificateName::Host) };
    let credential = Credential::new(user, Secret::new(std::env::var("PASSWORD")?));
    destination.authentication = Some(Authentication::new(credential));
    let mut content = Vec::new();
    std::io::stdin().read_to_end(&mut content)?;
    let client = SmtpClient::new()?;
    let outcomes = client.deliver(&destination, &envelope, &envelope.recipients, &content.into()).await;
    for (recipient, outcome) in envelope.recipients.iter().zip(outcomes) {
        println!("{}: {outcome:?}", recipient.address);
    }
    Ok(())
}
