//! One message through a smart host that wants TLS and a password, in a dozen lines:
//! `PASSWORD=... send_through_smart_host smtp-relay.example.com relay@contoso.com jane@fabrikam.com < message.eml`

use std::io::Read as _;

use postroad_message::{Envelope, Recipient, ReversePath};
use postroad_smtp_client::{Authentication, Credential, Destination, Secret, SmtpClient, TlsPolicy};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("HOST USER RECIPIENT...");
    let (host, user) = (next()?, next()?);
    let to = arguments.map(|to| to.parse().map(Recipient::new)).collect::<Result<_, _>>()?;
    let envelope = Envelope::new(ReversePath::Mailbox(user.parse()?), to);
    let mut destination = Destination::smart_host(host.parse()?, 587, "localhost".parse()?);
    destination.tls = TlsPolicy::verified();
    let credential = Credential::new(&user, Secret::new(std::env::var("PASSWORD")?));
    destination.authentication = Some(Authentication::new(credential));
    let content = std::io::stdin().lock().bytes().collect::<Result<Vec<u8>, _>>()?.into();
    let outcomes = SmtpClient::new()?.deliver_all(&destination, &envelope, &content).await;
    println!("{outcomes:#?}");
    Ok(())
}
