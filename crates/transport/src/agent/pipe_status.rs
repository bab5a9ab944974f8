//! What the end of a piped program says of the mail: sysexits.h, as Postfix's pipe(8) takes it.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use postroad_message::{EnhancedStatus, Failure, Fault, Outcome, Phase, Receipt, Scope, StatusClass};

/// By the table of [`pipe`](crate::agent::pipe); `said` may begin with a status of its own.
pub(super) fn outcome(program: &str, ended: ExitStatus, said: &str) -> Outcome {
    let Some(code) = ended.code() else {
        let signal = ended.signal().unwrap_or_default();
        return Outcome::Deferred(waits(Scope::Message, format!("{program} was ended by signal {signal}")));
    };
    if code == 0 {
        // A program sends no reports: who asked to hear of success hears from us.
        return Outcome::Relayed(Receipt::new(program));
    }
    let (status, scope) = given(said).map_or_else(|| by_code(code), |status| (status, Scope::Message));
    let mut text = format!("{program} ended with status {code}");
    if !said.is_empty() {
        text = format!("{text}: {said}");
    }
    let is_permanent = status.class() == StatusClass::Permanent;
    let failure = Failure::new(status, Fault::Remote, scope, Phase::Agent, text);
    if is_permanent { Outcome::Failed(failure) } else { Outcome::Deferred(failure) }
}

/// Nothing is decided: this machine could not see it through.
pub(super) fn waits(scope: Scope, text: String) -> Failure {
    Failure::new(EnhancedStatus::transient(3, 0), Fault::Local, scope, Phase::Agent, text)
}

fn given(said: &str) -> Option<EnhancedStatus> {
    let status: EnhancedStatus = said.split_whitespace().next()?.parse().ok()?;
    (status.class() != StatusClass::Success).then_some(status)
}

fn by_code(code: i32) -> (EnhancedStatus, Scope) {
    let (permanent, transient) = (EnhancedStatus::permanent, EnhancedStatus::transient);
    let status = match code {
        65 => permanent(6, 0),
        67 => permanent(1, 1),
        68 => permanent(1, 2),
        71 | 72 | 74 | 75 => transient(3, 0),
        73 => transient(2, 0),
        76 => permanent(5, 0),
        77 => permanent(7, 0),
        78 => transient(3, 5),
        _ => permanent(3, 0),
    };
    (status, Scope::Message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status of an outcome, `relayed` for the good one.
    fn told(raw: i32, said: &str) -> String {
        let outcome = outcome("/bin/p", ExitStatus::from_raw(raw), said);
        outcome.failure().map_or("relayed".to_owned(), |failure| failure.status.to_string())
    }

    #[test]
    fn a_program_answers_by_its_exit_status() {
        let rows = [
            (0, "relayed"),
            (1, "5.3.0"),
            (64, "5.3.0"),
            (65, "5.6.0"),
            (66, "5.3.0"),
            (67, "5.1.1"),
            (68, "5.1.2"),
            (69, "5.3.0"),
            (70, "5.3.0"),
            (71, "4.3.0"),
            (72, "4.3.0"),
            (73, "4.2.0"),
            (74, "4.3.0"),
            (75, "4.3.0"),
            (76, "5.5.0"),
            (77, "5.7.0"),
            (78, "4.3.5"),
            (127, "5.3.0"),
        ];
        for (code, expected) in rows {
            assert_eq!(told(code << 8, ""), expected, "exit status {code}");
        }
    }

    #[test]
    fn a_signal_decides_nothing_and_a_spoken_status_decides_before_the_exit_status() {
        assert_eq!(told(9, "5.1.1 no"), "4.3.0");
        assert_eq!(told(67 << 8, "4.2.2 mailbox full"), "4.2.2");
        assert_eq!(told(75 << 8, "5.7.1 go away"), "5.7.1");
        assert_eq!(told(75 << 8, "2.0.0 well"), "4.3.0");
        assert_eq!(told(0, "5.7.1 said and not meant"), "relayed");
    }
}
