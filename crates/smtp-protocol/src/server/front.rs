//! XCLIENT: a front says for whom it speaks, and from then on its client speaks. The rules are in [`xclient`](crate::xclient).

use postroad_message::EnhancedStatus;

use crate::command::CommandError;
use crate::server::event::Event;
use crate::server::session::Session;
use crate::server::state::{Front, Question};
use crate::xclient::Attributes;

impl Session {
    /// Whether XCLIENT is offered, and taken.
    pub(super) fn may_speak_for_another(&self) -> bool {
        self.settings.xclient && !matches!(self.front, Front::Done)
    }

    pub(super) fn xclient(&mut self, attributes: &str) {
        if !self.may_speak_for_another() {
            return self.not_a_command(CommandError::NotImplemented);
        }
        if self.transaction.is_some() {
            return self.out_of_order("A transaction is under way");
        }
        let told = Attributes::parse(attributes).and_then(|told| match &self.front {
            Front::Speaking(before) => told.after(before),
            Front::Silent | Front::Done => Ok(told),
        });
        match told {
            Ok(told) => {
                let told = Box::new(told);
                self.ask(Event::Xclient(told.clone()), Question::Xclient(told));
            }
            Err(error) => self.protocol_error(501, EnhancedStatus::permanent(5, 4), &error.to_string()),
        }
    }

    /// The session begins anew, as whoever was named. The front's certificate is not the client's: there is no logon by it,
    /// and no handshake that could show it again.
    pub(super) fn client_named(&mut self, told: Box<Attributes>) {
        self.settings.starttls = false;
        if let Some(offer) = &mut self.settings.logon {
            offer.mechanisms.retain(|mechanism| mechanism != "EXTERNAL");
        }
        self.user = told.login.value().cloned();
        self.greeted = told.hello_name.value().is_some();
        self.forget_transaction();
        self.front = Front::Speaking(told);
        self.greet();
    }

    /// A front that nobody listened to may let its client in all the same: nobody knows whose words would come next.
    pub(super) fn front_refused(&mut self) {
        if self.settings.xclient && matches!(self.front, Front::Silent) {
            self.close();
        }
    }
}
