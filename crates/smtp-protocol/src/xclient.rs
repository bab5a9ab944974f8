//! XCLIENT, Postfix's: what a trusted front tells of the client whose session it hands on.
//!
//! ```text
//! xclient-command = "XCLIENT" 1*( SP attribute-name "=" attribute-value )
//! attribute-name  = NAME / ADDR / PORT / PROTO / HELO / LOGIN / DESTADDR / DESTPORT / REVERSE_NAME
//! attribute-value = xtext / "[UNAVAILABLE]" / "[TEMPUNAVAIL]"
//! ```
//!
//! (`XCLIENT_README` of Postfix, which also has `LOGIN`, `DESTADDR`, `DESTPORT` and `REVERSE_NAME` since.) Names compare without
//! case; an IPv6 address may begin with `IPV6:`. It overrides who the client is, so it is offered to, and taken from, named
//! addresses only. Behind it a front splices its client in, so that nobody can tell the words of one from the other's. A
//! [session](crate::server) goes by these rules, and differs from Postfix where they say so:
//!
//! * Nothing is taken between MAIL and the end of its transaction (503, as Postfix).
//! * The first that is taken begins the session anew: 220, and what was said before is forgotten. `HELO` stands for the EHLO that
//!   the client said to the front (as Postfix).
//! * More may follow, directly, since a command has little room. None of it says again what was said, and `ADDR` and `LOGIN`,
//!   which rights hang on, are in the first or nowhere: 501. After any other command there is no XCLIENT any more: 502. (Postfix
//!   takes it again before each MAIL, from whoever speaks.)
//! * A front that is refused, be it for a malformed attribute, an attribute nobody knows, or because the named client is not
//!   wanted, is hung up on. (Postfix goes on, and a front that does not look at the reply lends its client its own address, and
//!   the right to say XCLIENT.) What is refused once a client was named may be the client's own, and changes nothing for it.
//! * The front's logon and certificate are never the client's, and STARTTLS is not offered after it. (Postfix lets the
//!   certificate count.)
//! * Whoever was not named is told 502, as if there were no such command. (Postfix: 550.)

use std::net::IpAddr;

use crate::xtext;

/// The attributes that [`Attributes::parse`] knows, as the EHLO reply names them.
pub const KEYWORD: &str = "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT REVERSE_NAME";

/// The longest value, decoded: a host name or a user's.
pub const MAX_VALUE_LENGTH: usize = 255;

/// What is told of one attribute.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Told<T> {
    /// Nothing: it stays as it is.
    #[default]
    Unsaid,
    /// `[UNAVAILABLE]` or `[TEMPUNAVAIL]`: it is not known.
    Unavailable,
    /// This.
    Is(T),
}

impl<T: Clone> Told<T> {
    fn after(self, before: &Self, name: &'static str) -> Result<Self, XclientError> {
        match (self, before) {
            (Self::Unsaid, before) => Ok(before.clone()),
            (said, Self::Unsaid) => Ok(said),
            _ => Err(XclientError::Twice(name)),
        }
    }

    fn only_before(self, before: &Self, name: &'static str) -> Result<Self, XclientError> {
        match (&self, before) {
            (Self::Is(_) | Self::Unavailable, Self::Unsaid) => Err(XclientError::Late(name)),
            _ => self.after(before, name),
        }
    }
}

impl<T> Told<T> {
    /// The value, where there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Unsaid | Self::Unavailable => None,
        }
    }
}

/// One XCLIENT command. Names are those of a host: letters, digits and `-._:[]`, safe to print.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Attributes {
    /// `NAME`: the client's host name.
    pub name: Told<String>,
    /// `REVERSE_NAME`: the name its address has, not verified.
    pub reverse_name: Told<String>,
    /// `ADDR`: its address.
    pub address: Told<IpAddr>,
    /// `PORT`: its port.
    pub port: Told<u16>,
    /// `PROTO`: `ESMTP`, not `SMTP`.
    pub extended: Told<bool>,
    /// `HELO`: what it said in EHLO or HELO.
    pub hello_name: Told<String>,
    /// `LOGIN`: who logged on.
    pub login: Told<String>,
    /// `DESTADDR`: the address it had dialled.
    pub destination_address: Told<IpAddr>,
    /// `DESTPORT`: the port it had dialled.
    pub destination_port: Told<u16>,
}

/// Why a command is refused: 501.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XclientError {
    /// No attribute, or one without `=`.
    #[error("XCLIENT wants attributes: NAME=value")]
    Syntax,
    /// An attribute that nobody knows.
    #[error("XCLIENT does not have this attribute")]
    Unknown,
    /// Known, and wrong.
    #[error("the value of {0} is malformed")]
    Malformed(&'static str),
    /// Given twice.
    #[error("{0} is given twice")]
    Twice(&'static str),
    /// What a client's rights hang on, in another command than the first.
    #[error("{0} is taken in the first XCLIENT only")]
    Late(&'static str),
}

impl Attributes {
    /// Reads what follows `XCLIENT` and a space.
    ///
    /// ```
    /// use postroad_smtp_protocol::xclient::{Attributes, Told};
    /// let told = Attributes::parse("NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 LOGIN=jane+20doe")?;
    /// assert_eq!(told.name, Told::Unavailable);
    /// assert_eq!(told.address, Told::Is("2001:db8::1".parse().unwrap()));
    /// assert_eq!(told.login, Told::Is("jane doe".into()));
    /// assert_eq!(told.hello_name, Told::Unsaid);
    /// # Ok::<(), postroad_smtp_protocol::xclient::XclientError>(())
    /// ```
    ///
    /// # Errors
    /// No attribute, or one that is unknown, malformed or given twice.
    pub fn parse(arguments: &str) -> Result<Self, XclientError> {
        let mut found = Self::default();
        let mut words = arguments.split(' ').filter(|word| !word.is_empty()).peekable();
        words.peek().ok_or(XclientError::Syntax)?;
        for word in words {
            let (name, value) = word.split_once('=').ok_or(XclientError::Syntax)?;
            match name.to_ascii_uppercase().as_str() {
                "NAME" => set(&mut found.name, "NAME", value, host_name),
                "REVERSE_NAME" => set(&mut found.reverse_name, "REVERSE_NAME", value, host_name),
                "ADDR" => set(&mut found.address, "ADDR", value, address),
                "PORT" => set(&mut found.port, "PORT", value, port),
                "PROTO" => set(&mut found.extended, "PROTO", value, is_extended),
                "HELO" => set(&mut found.hello_name, "HELO", value, host_name),
                "LOGIN" => set(&mut found.login, "LOGIN", value, login),
                "DESTADDR" => set(&mut found.destination_address, "DESTADDR", value, address),
                "DESTPORT" => set(&mut found.destination_port, "DESTPORT", value, port),
                _ => Err(XclientError::Unknown),
            }?;
        }
        Ok(found)
    }

    /// These, and what is unsaid as `before` said it: a long story comes in several commands. Nothing is said twice, and what
    /// rights hang on (`ADDR`, `LOGIN`) in the first only: the next may be the client's own, whom the front let through.
    pub(crate) fn after(self, before: &Self) -> Result<Self, XclientError> {
        Ok(Self {
            name: self.name.after(&before.name, "NAME")?,
            reverse_name: self.reverse_name.after(&before.reverse_name, "REVERSE_NAME")?,
            address: self.address.only_before(&before.address, "ADDR")?,
            port: self.port.after(&before.port, "PORT")?,
            extended: self.extended.after(&before.extended, "PROTO")?,
            hello_name: self.hello_name.after(&before.hello_name, "HELO")?,
            login: self.login.only_before(&before.login, "LOGIN")?,
            destination_address: self.destination_address.after(&before.destination_address, "DESTADDR")?,
            destination_port: self.destination_port.after(&before.destination_port, "DESTPORT")?,
        })
    }
}

fn set<T: PartialEq>(
    told: &mut Told<T>,
    name: &'static str,
    value: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<(), XclientError> {
    if *told != Told::Unsaid {
        return Err(XclientError::Twice(name));
    }
    *told = match value.to_ascii_uppercase().as_str() {
        "[UNAVAILABLE]" | "[TEMPUNAVAIL]" => Told::Unavailable,
        _ => {
            let decoded =
                xtext::decode(value).ok().filter(|text| (1..=MAX_VALUE_LENGTH).contains(&text.len()));
            Told::Is(decoded.and_then(|text| read(&text)).ok_or(XclientError::Malformed(name))?)
        }
    };
    Ok(())
}

fn host_name(text: &str) -> Option<String> {
    crate::command::is_host_name(text).then(|| text.to_owned())
}

/// An IPv4-mapped address is the IPv4 address.
fn address(text: &str) -> Option<IpAddr> {
    let plain = match text.split_at_checked(5) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("IPV6:") => rest,
        _ => text,
    };
    plain.parse().ok().map(|address: IpAddr| address.to_canonical())
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_extended(text: &str) -> Option<bool> {
    let known = [("ESMTP", true), ("SMTP", false)];
    known.into_iter().find_map(|(word, extended)| text.eq_ignore_ascii_case(word).then_some(extended))
}

fn login(text: &str) -> Option<String> {
    (!text.chars().any(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_fronts_say() {
        let nginx =
            Attributes::parse("ADDR=192.0.2.37 LOGIN=jane@contoso.com NAME=[UNAVAILABLE]").expect("reads");
        assert_eq!(nginx.address.value(), Some(&IpAddr::from([192, 0, 2, 37])));
        assert_eq!(nginx.login.value().map(String::as_str), Some("jane@contoso.com"));
        assert_eq!((nginx.name, nginx.port), (Told::Unavailable, Told::Unsaid));
        let postfix = "name=app01.contoso.com addr=IPv6:::ffff:192.0.2.1 Port=40000 proto=smtp helo=[192.0.2.1] \
                       reverse_name=[tempunavail] destaddr=10.0.0.1 destport=25";
        let postfix = Attributes::parse(postfix).expect("reads");
        assert_eq!(postfix.address, Told::Is(IpAddr::from([192, 0, 2, 1])));
        assert_eq!((postfix.port, postfix.extended), (Told::Is(40000), Told::Is(false)));
        assert_eq!(postfix.hello_name, Told::Is("[192.0.2.1]".into()));
        assert_eq!(postfix.destination_port, Told::Is(25));
    }

    #[test]
    fn refuses_what_it_cannot_believe() {
        use XclientError::{Malformed, Syntax, Twice, Unknown};
        for (text, error) in [
            ("", Syntax),
            ("  ", Syntax),
            ("ADDR", Syntax),
            ("FOO=1", Unknown),
            ("ADDR=127.0.0.1 ADDR=127.0.0.2", Twice("ADDR")),
            ("ADDR=[UNAVAILABLE] addr=127.0.0.2", Twice("ADDR")),
            ("ADDR=", Malformed("ADDR")),
            ("ADDR=127.0.0.1.", Malformed("ADDR")),
            ("ADDR=[127.0.0.1]", Malformed("ADDR")),
            ("ADDR=127.0.0.01", Malformed("ADDR")),
            ("ADDR=fe80::1%1", Malformed("ADDR")),
            ("PORT=+1", Malformed("PORT")),
            ("PORT=65536", Malformed("PORT")),
            ("PROTO=LMTP", Malformed("PROTO")),
            ("NAME=a+0D+0Ab", Malformed("NAME")),
            ("NAME=a b", Syntax),
            ("HELO=<b>", Malformed("HELO")),
            ("LOGIN=a+00", Malformed("LOGIN")),
            ("LOGIN=a+0", Malformed("LOGIN")),
        ] {
            assert_eq!(Attributes::parse(text), Err(error), "{text:?}");
        }
        assert!(Attributes::parse(&format!("NAME={}", "x".repeat(256))).is_err());
    }
}
