//! One section of relay.toml while its keys are taken out, one line of code for each key.

use toml_span::Span;
use toml_span::value::{Table, Value};

use crate::not_available_yet;
use crate::problem::{ProblemKind, Severity};
use crate::reading::fault::Reading;
use crate::reading::gather::{Finding, Gather, Places};
use crate::reading::suggestion::nearest;
use crate::reading::value::type_name;

/// A section being read: what is asked for is known, and what nobody asked for is refused in [`Section::close`].
pub(crate) struct Section<'a, 't> {
    /// The name without brackets, as the table of what is not available yet knows it.
    name: &'static str,
    table: &'a Table<'t>,
    places: Places,
    asked: Vec<&'static str>,
    gather: &'a mut Gather<'t>,
}

impl<'a, 't> Section<'a, 't> {
    /// Opens `value` as the section `name`, written as `shown`; anything but a table is told and not opened.
    pub(crate) fn open(
        name: &'static str,
        shown: String,
        header: Span,
        value: &'a Value<'t>,
        gather: &'a mut Gather<'t>,
    ) -> Option<Self> {
        let mut places = Places { section: shown, header, ..Places::default() };
        let Some(table) = value.as_table() else {
            let message = format!("must be a section with keys, not {}", type_name(value));
            gather.error_at(&places, "", ProblemKind::WrongType, message);
            return None;
        };
        places.keys = table.keys().map(|key| (key.name.to_string(), key.span)).collect();
        Some(Self { name, table, places, asked: Vec::new(), gather })
    }

    /// Takes `key` into `target`, which keeps its default where the key is not written or is refused.
    pub(crate) fn set<T>(
        &mut self,
        target: &mut T,
        key: &'static str,
        read: impl Fn(&Value<'t>) -> Reading<T>,
    ) {
        if let Some(value) = self.get(key, read) {
            *target = value;
        }
    }

    /// Takes `key`, when it is written and can be taken.
    pub(crate) fn get<T>(&mut self, key: &'static str, read: impl Fn(&Value<'t>) -> Reading<T>) -> Option<T> {
        self.asked.push(key);
        match read(self.table.get(key)?) {
            Ok(value) => Some(value),
            Err(faults) => {
                self.places.refused.insert(key.to_owned());
                for fault in faults {
                    self.gather.report(Finding {
                        severity: Severity::Error,
                        kind: fault.kind,
                        section: &self.places.section,
                        key,
                        span: fault.span,
                        also: None,
                        message: fault.message,
                    });
                }
                None
            }
        }
    }

    /// Takes `key`, which must be written; `example` shows how.
    pub(crate) fn require<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl Fn(&Value<'t>) -> Reading<T>,
    ) -> Option<T> {
        if !self.table.contains_key(key) {
            let message = format!("must be given, as in {key} = {example}");
            self.gather.error_at(&self.places, key, ProblemKind::Missing, message);
            self.places.refused.insert(key.to_owned());
        }
        self.get(key, read)
    }

    /// Checks a key whose value changes nothing in this relay, such as `comment`.
    pub(crate) fn check<T>(&mut self, key: &'static str, read: impl Fn(&Value<'t>) -> Reading<T>) {
        let _ = self.get(key, read);
    }

    /// Opens the section `[name]` inside this one, when it is written.
    pub(crate) fn section(&mut self, name: &'static str) -> Option<Section<'_, 't>> {
        let value = self.raw(name)?;
        let shown = format!("[{name}]");
        if let Some(first) = value.as_array().and_then(|entries| entries.first()) {
            let message = format!("stands once, as {shown}, not in double brackets");
            let places = Places { section: shown, header: first.span, ..Places::default() };
            self.gather.error_at(&places, "", ProblemKind::WrongType, message);
            return None;
        }
        self.refuse_whole(name, &shown, value.span);
        Section::open(name, shown, value.span, value, self.gather)
    }

    /// Reads every `[[name]]` inside this one, in their order.
    pub(crate) fn sections<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(Section<'_, 't>) -> Option<T>,
    ) -> Vec<T> {
        let shown = format!("[[{name}]]");
        let Some(value) = self.raw(name) else { return Vec::new() };
        let Some(entries) = value.as_array() else {
            let message = format!("must be written in double brackets, as {shown}");
            let places = Places { section: shown, header: value.span, ..Places::default() };
            self.gather.error_at(&places, "", ProblemKind::WrongType, message);
            return Vec::new();
        };
        let mut taken = Vec::with_capacity(entries.len());
        for entry in entries {
            self.refuse_whole(name, &shown, entry.span);
            let section = Section::open(name, shown.clone(), entry.span, entry, self.gather);
            taken.extend(section.and_then(&mut read));
        }
        taken
    }

    /// Reads every `[name.KEY]` inside this one, whose keys are names its author chose.
    pub(crate) fn named_sections<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&str, Section<'_, 't>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.raw(name) else { return Vec::new() };
        let Some(table) = value.as_table() else {
            let places = Places { section: format!("[{name}]"), header: value.span, ..Places::default() };
            let message = format!("must be sections with a name each, as [{name}.some-name]");
            self.gather.error_at(&places, "", ProblemKind::WrongType, message);
            return Vec::new();
        };
        let mut taken = Vec::with_capacity(table.len());
        for (key, value) in table {
            // A text where a section belongs stands beside its key, a section below its header.
            let header = if value.as_table().is_some() { value.span } else { key.span };
            let section = Section::open(name, format!("[{name}.{key}]"), header, value, self.gather);
            taken.extend(section.and_then(|section| read(&key.name, section)));
        }
        taken
    }

    fn refuse_whole(&mut self, name: &str, shown: &str, header: Span) {
        if let Some(reason) = not_available_yet::refused_section(name) {
            let places = Places { section: shown.to_owned(), header, ..Places::default() };
            let message = format!("not available yet: {reason}");
            self.gather.error_at(&places, "", ProblemKind::NotAvailableYet, message);
        }
    }

    /// Whether `key` is written, whatever its value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.places.has(key)
    }

    /// The raw value, for sections whose keys are names; the key counts as known.
    pub(crate) fn raw(&mut self, key: &'static str) -> Option<&'a Value<'t>> {
        self.asked.push(key);
        self.table.get(key)
    }

    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    pub(crate) fn gather(&mut self) -> &mut Gather<'t> {
        self.gather
    }

    pub(crate) fn error(&mut self, key: &str, kind: ProblemKind, message: impl Into<String>) {
        self.gather.error_at(&self.places, key, kind, message);
    }

    pub(crate) fn warn(&mut self, key: &str, message: impl Into<String>) {
        self.gather.warn_at(&self.places, key, message);
    }

    pub(crate) fn contradiction(&mut self, key: &str, other: &str, message: impl Into<String>) {
        self.gather.contradiction(&self.places, key, other, message);
    }

    /// Refuses the keys nobody asked for and those whose part is not built yet.
    pub(crate) fn close(mut self) -> Places {
        for (key, value) in self.table {
            if self.asked.contains(&key.name.as_ref()) {
                self.check_available(&key.name, value);
            } else if self.places.section.is_empty() {
                self.unknown_section(&key.name, value);
            } else {
                let message = self.unknown_key(&key.name);
                self.gather.error_at(&self.places, &key.name, ProblemKind::UnknownKey, message);
            }
        }
        self.places
    }

    fn check_available(&mut self, key: &str, value: &Value<'t>) {
        if let Some(reason) = not_available_yet::refused(self.name, key, value) {
            let message = format!("not available yet: {reason}");
            self.gather.error_at(&self.places, key, ProblemKind::NotAvailableYet, message);
        }
    }

    fn unknown_key(&self, key: &str) -> String {
        if let Some(name) = nearest(key, self.asked.iter().copied()) {
            return format!("no such key; did you mean {name}?");
        }
        format!("no such key; known here: {}", self.known())
    }

    /// Outside any section: a section that is not known, or a key that stands before the first header.
    fn unknown_section(&mut self, key: &str, value: &Value<'t>) {
        let is_section = |value: &Value<'_>| value.as_table().is_some();
        let (section, known) = match value.as_array() {
            _ if is_section(value) => (format!("[{key}]"), nearest(key, self.asked.iter().copied())),
            Some(entries) if entries.iter().any(is_section) => {
                (format!("[[{key}]]"), nearest(key, self.asked.iter().copied()))
            }
            _ => {
                let message = "stands in no section; write it below its header, such as [server]";
                self.gather.error_at(&self.places, key, ProblemKind::UnknownKey, message);
                return;
            }
        };
        let message = match known {
            Some(name) => format!("no such section; did you mean {name}?"),
            None => format!("no such section; known are {}", self.known()),
        };
        let places = Places { section, header: self.places.of(key), ..Places::default() };
        self.gather.error_at(&places, "", ProblemKind::UnknownSection, message);
    }

    fn known(&self) -> String {
        let mut known = self.asked.clone();
        known.sort_unstable();
        known.dedup();
        known.join(", ")
    }
}
