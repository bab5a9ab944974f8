//! Which file a row goes into, when the next one begins, and which old ones go: by the rows' own moments, without a clock.

use std::io::{self, Write};

use postroad_message::Timestamp;

use crate::folder::Folder;
use crate::layout::Layout;
use crate::settings::{Format, LogSettings};
use crate::{Value, csv, json};

/// A moment, and the fields behind it.
pub(crate) type Row = (Timestamp, Vec<Value>);

/// The files of one log.
pub(crate) struct Rotation<F> {
    folder: F,
    layout: Layout,
    settings: LogSettings,
    open: Option<Open>,
}

/// The file that is written to.
struct Open {
    day: String,
    size: u64,
    file: Box<dyn Write + Send>,
}

/// `MSGTRK20240331-2.LOG`, taken apart; sorted by age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    day: String,
    number: u64,
    text: String,
}

impl<F: Folder> Rotation<F> {
    pub(crate) fn new(folder: F, layout: Layout, settings: LogSettings) -> Self {
        Self { folder, layout, settings, open: None }
    }

    /// Writes the rows, each whole, in as few pieces as there are files. After an error the file is opened anew the next time;
    /// which of these rows it has nobody knows. Before them it says how many were `lost`.
    pub(crate) fn write(&mut self, rows: &[Row], lost: u64) -> io::Result<()> {
        let written = self.write_into_files(rows, lost);
        if written.is_err() {
            self.open = None;
        }
        written
    }

    fn write_into_files(&mut self, rows: &[Row], mut lost: u64) -> io::Result<()> {
        let mut piece = String::new();
        for (at, values) in rows {
            let mut line = match (self.settings.format, std::mem::take(&mut lost)) {
                (_, 0) => String::new(),
                (Format::Csv, lost) => csv::lost(lost),
                (Format::Json, lost) => json::lost(&self.layout, *at, lost),
            };
            line.push_str(&match self.settings.format {
                Format::Csv => csv::row(*at, values),
                Format::Json => json::row(&self.layout, *at, values),
            });
            let day = day(*at);
            let held = self.open.as_ref().is_some_and(|open| {
                // A clock that was set back writes on in the file that is open.
                day <= open.day && !self.is_full(open.size + length(&piece), length(&line))
            });
            if !held {
                self.put(&mut piece)?;
                self.begin(*at, day, length(&line))?;
            }
            piece.push_str(&line);
        }
        self.put(&mut piece)
    }

    fn put(&mut self, piece: &mut String) -> io::Result<()> {
        if let Some(open) = &mut self.open
            && !piece.is_empty()
        {
            open.file.write_all(piece.as_bytes())?;
            open.size += length(piece);
            piece.clear();
        }
        Ok(())
    }

    /// Goes on in the last file of the day, or begins the next one; then the oldest go.
    fn begin(&mut self, at: Timestamp, day: String, needed: u64) -> io::Result<()> {
        let goes_on = self.open.is_none();
        // Not yet there: it is made with its first file.
        let files = self.names(self.folder.files().unwrap_or_default());
        let last = files.iter().rev().map(|(name, _)| name).find(|name| name.day == day);
        let number = last.map_or(1, |last| last.number);
        let extension = self.extension();
        let name = |number: u64| format!("{}{day}-{number}.{extension}", self.layout.prefix);
        let may_go_on =
            |(file, size): &(Name, u64)| file.text == name(number) && !self.is_full(*size, needed);
        let text = match last {
            Some(_) if goes_on && files.iter().any(may_go_on) => name(number),
            Some(_) => name(number + 1),
            None => name(number),
        };
        let (file, size) = self.folder.append(&text)?;
        let mut open = Open { day, size, file };
        if size == 0 && self.settings.format == Format::Csv {
            let head = csv::head(&self.layout, at);
            open.file.write_all(head.as_bytes())?;
            open.size = length(&head);
        }
        self.open = Some(open);
        self.clear_out(at, files.into_iter().filter(|(name, _)| name.text != text).collect());
        Ok(())
    }

    /// Takes away what is too old, and the oldest until the rest fits with the file that is open at its fullest.
    fn clear_out(&self, at: Timestamp, mut files: Vec<(Name, u64)>) {
        let eldest = match self.settings.max_age {
            std::time::Duration::ZERO => String::new(),
            age => day(before(at, age)),
        };
        let room = self
            .settings
            .max_directory_size
            .map_or(u64::MAX, |room| room.saturating_sub(self.settings.max_file_size.unwrap_or_default()));
        let mut total: u64 = files.iter().map(|(_, size)| size).sum();
        files.sort();
        for (name, size) in files {
            if name.day >= eldest && total <= room {
                break;
            }
            if let Err(error) = self.folder.remove(&name.text) {
                tracing::warn!(file = name.text, %error, "an old log file could not be removed");
            }
            total -= size;
        }
    }

    fn names(&self, files: Vec<(String, u64)>) -> Vec<(Name, u64)> {
        let mut names: Vec<(Name, u64)> =
            files.into_iter().filter_map(|(text, size)| Some((self.name(text)?, size))).collect();
        names.sort();
        names
    }

    fn name(&self, text: String) -> Option<Name> {
        let stem = text.strip_suffix(".LOG").or_else(|| text.strip_suffix(".JSON"))?;
        let (day, number) = stem.strip_prefix(self.layout.prefix)?.split_once('-')?;
        let is_day = day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| is_day)?;
        Some(Name { day: day.to_owned(), number, text })
    }

    fn is_full(&self, size: u64, line: u64) -> bool {
        self.settings.max_file_size.is_some_and(|most| size + line > most)
    }

    fn extension(&self) -> &'static str {
        match self.settings.format {
            Format::Csv => "LOG",
            Format::Json => "JSON",
        }
    }
}

fn length(text: &str) -> u64 {
    text.len() as u64
}

/// `20240331`, in UTC.
fn day(at: Timestamp) -> String {
    at.to_compact().chars().take(8).collect()
}

fn before(at: Timestamp, age: std::time::Duration) -> Timestamp {
    let millis = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_millis(at.as_unix_millis().saturating_sub(millis).max(0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;

    const LAYOUT: Layout =
        Layout { prefix: "MSGTRK", log_type: "T", version: "1", fields: &["date-time", "text"] };
    const NOON: Timestamp = Timestamp::from_unix_millis(1_711_886_400_000);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// A folder in memory that can be full.
    #[derive(Clone, Default)]
    struct Pretend(Arc<Mutex<Held>>);

    /// Files by name, and whether there is no room for more.
    type Held = (BTreeMap<String, Vec<u8>>, bool);

    struct File(Pretend, String);

    impl Write for File {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut folder = self.0.0.lock().unwrap();
            if folder.1 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            folder.0.entry(self.1.clone()).or_default().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Folder for Pretend {
        fn files(&self) -> io::Result<Vec<(String, u64)>> {
            let files = &self.0.lock().unwrap().0;
            Ok(files.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect())
        }

        fn append(&self, name: &str) -> io::Result<(Box<dyn Write + Send>, u64)> {
            let mut folder = self.0.lock().unwrap();
            let size = folder.0.entry(name.to_owned()).or_default().len();
            Ok((Box::new(File(self.clone(), name.to_owned())), size as u64))
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            self.0.lock().unwrap().0.remove(name).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    impl Pretend {
        fn with(files: &[(&str, usize)]) -> Self {
            let pretend = Self::default();
            for (name, size) in files {
                pretend.0.lock().unwrap().0.insert((*name).to_owned(), vec![b'x'; *size]);
            }
            pretend
        }

        fn names(&self) -> Vec<String> {
            self.0.lock().unwrap().0.keys().cloned().collect()
        }

        fn text(&self, name: &str) -> String {
            String::from_utf8(self.0.lock().unwrap().0[name].clone()).unwrap()
        }
    }

    fn settings(file: u64, directory: u64) -> LogSettings {
        let mut settings = LogSettings::new("");
        settings.max_file_size = Some(file);
        settings.max_directory_size = Some(directory);
        settings
    }

    fn log(folder: &Pretend, settings: LogSettings) -> Rotation<Pretend> {
        Rotation::new(folder.clone(), LAYOUT, settings)
    }

    fn text(at: Timestamp, text: &str) -> Row {
        (at, vec![Value::Text(text.to_owned())])
    }

    #[test]
    fn a_new_day_begins_a_new_file_with_its_own_head() {
        let folder = Pretend::default();
        let mut log = log(&folder, settings(10_000, 100_000));
        log.write(&[text(NOON, "one"), text(NOON.after(DAY), "two"), text(NOON, "late")], 0).unwrap();
        assert_eq!(folder.names(), ["MSGTRK20240331-1.LOG", "MSGTRK20240401-1.LOG"]);
        assert_eq!(
            folder.text("MSGTRK20240401-1.LOG"),
            "#Software: postroad\r\n#Version: 1\r\n#Log-type: T\r\n#Date: 2024-04-01T12:00:00.000Z\r\n#Fields: date-time,text\r\n\
             2024-04-01T12:00:00.000Z,two\r\n2024-03-31T12:00:00.000Z,late\r\n"
        );
    }

    #[test]
    fn a_full_file_is_followed_by_the_next_number_and_no_row_is_torn() {
        let folder = Pretend::default();
        let mut log = log(&folder, settings(230, 10_000));
        log.write(&(0..9).map(|n| text(NOON, &format!("row {n}"))).collect::<Vec<_>>(), 0).unwrap();
        let names = folder.names();
        assert_eq!(names, ["MSGTRK20240331-1.LOG", "MSGTRK20240331-2.LOG", "MSGTRK20240331-3.LOG"]);
        let rows: String = names.iter().map(|name| folder.text(name)).collect();
        assert_eq!(rows.lines().filter(|line| !line.starts_with('#')).count(), 9);
        assert!(
            names.iter().all(|name| folder.text(name).len() <= 230 && folder.text(name).ends_with("\r\n"))
        );
    }

    #[test]
    fn a_start_goes_on_in_the_last_file_unless_that_is_full() {
        let folder = Pretend::with(&[
            ("MSGTRK20240331-9.LOG", 10),
            ("MSGTRK20240331-10.LOG", 150),
            ("MSGTRK20240330-1.LOG", 1),
        ]);
        log(&folder, settings(190, 10_000)).write(&[text(NOON, "on")], 0).unwrap();
        assert!(folder.text("MSGTRK20240331-10.LOG").ends_with("x2024-03-31T12:00:00.000Z,on\r\n"));
        log(&folder, settings(190, 10_000)).write(&[text(NOON, "next")], 0).unwrap();
        assert!(folder.text("MSGTRK20240331-11.LOG").ends_with(",next\r\n"));
    }

    #[test]
    fn where_rows_are_missing_it_says_how_many() {
        let folder = Pretend::default();
        let mut settings = settings(10_000, 100_000);
        log(&folder, settings.clone()).write(&[text(NOON, "one"), text(NOON, "two")], 12).unwrap();
        let rows = "#Lost: 12\r\n2024-03-31T12:00:00.000Z,one\r\n2024-03-31T12:00:00.000Z,two\r\n";
        assert!(folder.text("MSGTRK20240331-1.LOG").ends_with(rows));
        settings.format = Format::Json;
        log(&folder, settings).write(&[text(NOON, "one")], 12).unwrap();
        let lines = "{\"date-time\":\"2024-03-31T12:00:00.000Z\",\"lost\":12}\n\
                     {\"date-time\":\"2024-03-31T12:00:00.000Z\",\"text\":\"one\"}\n";
        assert_eq!(folder.text("MSGTRK20240331-2.JSON"), lines);
    }

    #[test]
    fn json_has_files_of_its_own() {
        let folder = Pretend::with(&[("MSGTRK20240331-1.LOG", 10)]);
        let mut settings = settings(10_000, 100_000);
        settings.format = Format::Json;
        log(&folder, settings).write(&[text(NOON, "on")], 0).unwrap();
        let line = "{\"date-time\":\"2024-03-31T12:00:00.000Z\",\"text\":\"on\"}\n";
        assert_eq!(folder.text("MSGTRK20240331-2.JSON"), line);
    }

    #[test]
    fn what_is_too_old_goes_and_nothing_of_others() {
        let others = [
            ("MSGTRKMD20200101-1.LOG", 1),
            ("RECV20200101-1.LOG", 1),
            ("MSGTRK-old.LOG", 1),
            ("notes.txt", 1),
        ];
        let ours = [("MSGTRK20240229-7.LOG", 1), ("MSGTRK20240301-1.LOG", 1), ("MSGTRK20240330-1.JSON", 1)];
        let folder = Pretend::with(&[&others[..], &ours[..]].concat());
        log(&folder, settings(10_000, 100_000)).write(&[text(NOON, "on")], 0).unwrap();
        let mut left = folder.names();
        left.retain(|name| name.starts_with("MSGTRK2"));
        assert_eq!(left, ["MSGTRK20240301-1.LOG", "MSGTRK20240330-1.JSON", "MSGTRK20240331-1.LOG"]);
        assert_eq!(folder.names().len(), left.len() + others.len());
        let mut for_ever = settings(10_000, 100_000);
        for_ever.max_age = Duration::ZERO;
        log(&folder, for_ever).write(&[text(NOON.after(DAY * 900), "on")], 0).unwrap();
        assert!(folder.names().contains(&"MSGTRK20240301-1.LOG".to_owned()));
    }

    #[test]
    fn the_oldest_go_until_the_directory_has_room_for_a_full_file() {
        let folder = Pretend::with(&[
            ("MSGTRK20240329-1.LOG", 100),
            ("MSGTRK20240330-2.LOG", 100),
            ("MSGTRK20240330-10.LOG", 100),
        ]);
        log(&folder, settings(200, 400)).write(&[text(NOON, "on")], 0).unwrap();
        let left = ["MSGTRK20240330-10.LOG", "MSGTRK20240330-2.LOG", "MSGTRK20240331-1.LOG"];
        assert_eq!(folder.names(), left);
        let mut log = log(&folder, settings(200, 400));
        log.write(&(0..40).map(|n| text(NOON, &format!("row {n}"))).collect::<Vec<_>>(), 0).unwrap();
        let total: u64 = folder.files().unwrap().iter().map(|(_, size)| size).sum();
        assert!(total <= 400, "{total} in {:?}", folder.names());
    }

    #[test]
    fn after_a_full_disk_it_goes_on() {
        let folder = Pretend::default();
        let mut log = log(&folder, settings(10_000, 100_000));
        log.write(&[text(NOON, "one")], 0).unwrap();
        folder.0.lock().unwrap().1 = true;
        assert!(log.write(&[text(NOON, "lost")], 0).is_err());
        folder.0.lock().unwrap().1 = false;
        log.write(&[text(NOON, "two")], 0).unwrap();
        let written = folder.text("MSGTRK20240331-1.LOG");
        assert!(written.contains(",one\r\n") && written.ends_with(",two\r\n") && !written.contains("lost"));
    }
}
