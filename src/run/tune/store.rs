//! The file of one adapter's measurements.
use crate::gpu::CacheFolder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The layout of the file.
const VERSION: u32 = 1;

/// What was measured of one operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Hash of the kernels that were measured: an entry about other kernels is none.
    pub kernels: String,
    pub choice: String,
    /// Median milliseconds by variant.
    pub ms: BTreeMap<String, f64>,
    /// Whether measuring did not come to its end, for want of time or because the process did not come back from it. Runs use the entry all
    /// the same, so that none of them meets a driver's crash again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    version: u32,
    adapter: String,
    operations: BTreeMap<String, Entry>,
}

/// Entries by operation, read from `tune-<adapter and driver>.json` and written back with what was added.
///
/// Processes that write at once never tear the file; where they measured the same operation, the last one's entry stays.
#[derive(Debug)]
pub struct TuneStore {
    folder: CacheFolder,
    file: String,
    adapter: String,
    known: BTreeMap<String, Entry>,
    added: BTreeMap<String, Entry>,
}

impl TuneStore {
    /// `adapter`: its key for file names. A file that is missing or damaged counts as empty.
    pub fn open(folder: &CacheFolder, adapter: &str) -> Self {
        let file = format!("tune-{adapter}.json");
        Self {
            known: read(folder, &file, adapter),
            folder: folder.clone(),
            file,
            adapter: adapter.into(),
            added: BTreeMap::new(),
        }
    }

    /// What is known about operation `key` computed by these kernels.
    pub fn get(&self, key: &str, kernels: &str) -> Option<&Entry> {
        let entry = self.added.get(key).or_else(|| self.known.get(key));
        entry.filter(|entry| entry.kernels == kernels)
    }

    pub fn insert(&mut self, key: String, entry: Entry) {
        self.added.insert(key, entry);
    }

    /// Writes what was added, on top of what the file holds by now. Returns whether the file has it; what it has not, the next call writes.
    pub fn save(&mut self) -> bool {
        if self.added.is_empty() {
            return true;
        }
        let mut contents = Contents {
            version: VERSION,
            adapter: self.adapter.clone(),
            operations: read(&self.folder, &self.file, &self.adapter),
        };
        contents.operations.extend(self.added.clone());
        let written = match serde_json::to_vec_pretty(&contents) {
            Ok(bytes) => self.folder.write(&self.file, &bytes),
            Err(error) => {
                log::info!("{}: {error}", self.file);
                false
            }
        };
        if written {
            self.known = contents.operations;
            self.added.clear();
        }
        written
    }
}

fn read(folder: &CacheFolder, file: &str, adapter: &str) -> BTreeMap<String, Entry> {
    let Some(bytes) = folder.read(file) else {
        return BTreeMap::new();
    };
    match serde_json::from_slice::<Contents>(&bytes) {
        Ok(contents) if contents.version == VERSION && contents.adapter == adapter => {
            contents.operations
        }
        Ok(_) => {
            log::info!("cache file {file} is of another version or adapter, it is ignored");
            BTreeMap::new()
        }
        Err(error) => {
            log::info!("cache file {file} is damaged, it is ignored: {error}");
            BTreeMap::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kernels: &str, choice: &str) -> Entry {
        Entry {
            kernels: kernels.into(),
            choice: choice.into(),
            ms: [("a".to_string(), 1.5), (choice.to_string(), 1.25)].into(),
            partial: false,
        }
    }

    #[test]
    fn entries_come_back_for_the_same_kernels_and_adapter() {
        let folder = tempfile::tempdir().unwrap();
        let folder = CacheFolder::at(folder.path());
        let mut store = TuneStore::open(&folder, "one");
        store.insert("op".into(), entry("k1", "x"));
        assert_eq!(store.get("op", "k1"), Some(&entry("k1", "x")));
        assert!(store.save());

        let store = TuneStore::open(&folder, "one");
        assert_eq!(store.get("op", "k1"), Some(&entry("k1", "x")));
        assert_eq!(store.get("op", "k2"), None, "other kernels");
        assert_eq!(store.get("other", "k1"), None);
        assert_eq!(TuneStore::open(&folder, "two").get("op", "k1"), None);
    }

    #[test]
    fn stores_that_save_in_turn_keep_each_others_entries() {
        let folder = tempfile::tempdir().unwrap();
        let folder = CacheFolder::at(folder.path());
        let (mut first, mut second) = (
            TuneStore::open(&folder, "one"),
            TuneStore::open(&folder, "one"),
        );
        first.insert("p".into(), entry("k", "x"));
        first.insert("q".into(), entry("k", "x"));
        second.insert("q".into(), entry("k", "y"));
        assert!(first.save() && second.save());
        let all = TuneStore::open(&folder, "one");
        assert_eq!(all.get("p", "k"), Some(&entry("k", "x")));
        assert_eq!(all.get("q", "k"), Some(&entry("k", "y")), "the last wins");
    }

    #[test]
    fn damaged_files_count_as_empty_and_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let folder = CacheFolder::at(folder.path());
        let mut store = TuneStore::open(&folder, "one");
        store.insert("op".into(), entry("k", "x"));
        assert!(store.save());
        let whole = folder.read("tune-one.json").unwrap();
        let other = String::from_utf8(whole.clone()).unwrap();
        let newer = other.replace("\"version\": 1", "\"version\": 2");
        for bytes in [&whole[..whole.len() / 2], b"", b"[1]", newer.as_bytes()] {
            assert!(folder.write("tune-one.json", bytes));
            let mut store = TuneStore::open(&folder, "one");
            assert_eq!(store.get("op", "k"), None);
            store.insert("op".into(), entry("k", "y"));
            assert!(store.save());
            let store = TuneStore::open(&folder, "one");
            assert_eq!(store.get("op", "k"), Some(&entry("k", "y")));
        }
    }

    #[test]
    fn what_could_not_be_written_is_not_said_to_be() {
        let mut nowhere = TuneStore::open(&CacheFolder::default(), "one");
        nowhere.insert("op".into(), entry("k", "x"));
        assert!(!nowhere.save());
        assert!(!nowhere.save(), "again");
        assert_eq!(nowhere.get("op", "k"), Some(&entry("k", "x")));
    }

    #[test]
    fn entries_without_a_word_about_it_are_whole() {
        let text = r#"{ "kernels": "k", "choice": "x", "ms": { "a": 1.5, "x": 1.25 } }"#;
        let whole: Entry = serde_json::from_str(text).unwrap();
        assert_eq!(whole, entry("k", "x"));
        let partial = Entry {
            partial: true,
            ..whole
        };
        let text = serde_json::to_string(&partial).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), partial);
    }
}
