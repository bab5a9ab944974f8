//! What the demo sends, by which way in, and where each recipient's copy has to arrive.

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Smtp,
    Pickup,
    /// Replay, by the hand of the fax gateway.
    Gateway,
}

/// One of the demo's other ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    SmartHost,
    MxHost,
    FaxGateway,
}

impl Place {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SmartHost => "the smart host",
            Self::MxHost => "the MX host",
            Self::FaxGateway => "the fax gateway",
        }
    }
}

/// One message.
pub(crate) struct Letter {
    pub(crate) door: Door,
    pub(crate) title: &'static str,
    pub(crate) from: &'static str,
    /// Each recipient as typed for the relay, as its way in spells it, and where it has to arrive.
    pub(crate) to: &'static [(&'static str, &'static str, Place)],
    /// The file or the content, with `\n` for line ends.
    pub(crate) text: &'static str,
}

const FAX: &str = "IMCEAFAX-+2B1+20+28425+29+20555-0100@contoso.test";
const X400: &str = "IMCEAX400-C=US+3BA=Fabrikam+3BP=Contoso+3BS=Doe+3BG=Jane+3B@contoso.test";

/// One message by each way in.
pub(crate) const LETTERS: [Letter; 3] = [
    Letter {
        door: Door::Smtp,
        title: "an application speaks SMTP to the relay",
        from: "app@adatum.test",
        to: &[
            ("anna@fabrikam.test", "anna@fabrikam.test", Place::SmartHost),
            ("jane@adatum.test", "jane@adatum.test", Place::MxHost),
            ("FAX:+1 (425) 555-0100", FAX, Place::FaxGateway),
        ],
        text: "From: App <app@adatum.test>\nTo: anna@fabrikam.test, jane@adatum.test\nSubject: demo by SMTP\n\n\
               Three recipients, three connectors.\n.a line that begins with a dot\n",
    },
    Letter {
        door: Door::Pickup,
        title: "a script leaves a file in Pickup",
        from: "erp@contoso.test",
        to: &[
            ("orders@eu.fabrikam.test", "orders@eu.fabrikam.test", Place::SmartHost),
            ("X400:C=US;A=Fabrikam;P=Contoso;S=Doe;G=Jane;", X400, Place::FaxGateway),
            ("archive@adatum.test", "archive@adatum.test", Place::MxHost),
        ],
        text: "From: ERP <erp@contoso.test>\nTo: orders@eu.fabrikam.test\n\
               Cc: IMCEAX400-C=US+3BA=Fabrikam+3BP=Contoso+3BS=Doe+3BG=Jane+3B@contoso.test\n\
               Bcc: archive@adatum.test\nSubject: demo by Pickup\n\nThe envelope is read from the header.\n",
    },
    Letter {
        door: Door::Gateway,
        title: "the fax gateway took a fax from Drop, and answers its sender through Replay",
        from: FAX,
        to: &[("app@adatum.test", "app@adatum.test", Place::MxHost)],
        text: "From: Fax <IMCEAFAX-+2B1+20+28425+29+20555-0100@contoso.test>\nTo: app@adatum.test\n\
               Subject: demo by Replay\n\nThe fax was sent. The gateway writes the envelope before this header.\n",
    },
];

impl Letter {
    /// What is looked for on arrival.
    pub(crate) fn subject(&self) -> &'static str {
        self.text.lines().find(|line| line.starts_with("Subject: ")).unwrap_or("Subject: ")
    }

    /// The text with the line ends of mail.
    pub(crate) fn crlf(&self) -> Vec<u8> {
        self.text.replace('\n', "\r\n").into_bytes()
    }
}
