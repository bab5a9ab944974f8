//! A fault that lasts: told when it begins, when it is another one, and when it ends; not each time it is met.

/// What was told last.
#[derive(Debug, Default)]
pub(crate) struct Trouble(Option<String>);

impl Trouble {
    /// It is met; whether that is news.
    pub(crate) fn is_news(&mut self, fault: &str) -> bool {
        let known = self.0.as_deref() == Some(fault);
        if !known {
            self.0 = Some(fault.to_owned());
        }
        !known
    }

    /// All went well; whether that is news.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_when_it_begins_changes_and_ends() {
        let mut trouble = Trouble::default();
        assert!(!trouble.has_ended(), "it never began");
        let told = ["full", "full", "read-only", "full"].map(|fault| trouble.is_news(fault));
        assert_eq!(told, [true, false, true, true]);
        assert_eq!((trouble.has_ended(), trouble.has_ended()), (true, false));
        assert!(trouble.is_news("full"), "once more");
    }
}
