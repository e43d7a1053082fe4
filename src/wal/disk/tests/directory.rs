//! Tests on a real directory: locks, file names and read-only access.

use std::path::PathBuf;

use super::*;

/// A directory that is removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("jobstream-log-{}-{name}", std::process::id()));
        std::fs::remove_dir_all(&path).ok();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn count(directory: &Path) -> Result<u64> {
    let mut entries = 0;
    let log = DiskLog::open(directory, &small(), |_, _, _| {
        entries += 1;
        Ok(())
    })?;
    log.close()?;
    Ok(entries)
}

#[test]
fn a_log_creates_its_directory() {
    let folder = Folder::new("made");
    let directory = folder.0.join("a").join("b");
    let mut log = DiskLog::open(&directory, &small(), |_, _, _| Ok(())).unwrap();
    log.append_and_preallocate(&entries(0..100, 100)).unwrap();
    assert_eq!(log.reader().read(71).unwrap(), Some(entry(70, 100)));
    log.trim(2).unwrap();
    log.append_and_preallocate(&entries(100..150, 100)).unwrap();
    log.close().unwrap();
    let report = verify(&directory).unwrap();
    assert!(report.is_closed && !report.is_torn && report.damages.is_empty());
    assert_eq!(count(&directory).unwrap(), report.entries);
    let unfinished = std::fs::read_dir(&directory).unwrap().filter(|file| {
        !file.as_ref().unwrap().file_name().to_string_lossy().ends_with(".new")
            && file.as_ref().unwrap().metadata().unwrap().len() % 8192 != 0
    });
    assert_eq!(unfinished.count(), 0);
}

#[test]
fn a_locked_log_can_be_neither_opened_nor_read() {
    let folder = Folder::new("lock");
    let log = DiskLog::open(&folder.0, &small(), |_, _, _| Ok(())).unwrap();
    for error in [count(&folder.0).unwrap_err(), verify(&folder.0).unwrap_err()] {
        assert_eq!(error.kind(), &ErrorKind::LogRefused);
        assert!(error.message().contains(&*folder.0.to_string_lossy()), "{error}");
    }
    drop(log);
    assert_eq!(count(&folder.0).unwrap(), 0);
    verify(&folder.0).unwrap();
}

#[test]
fn a_salvage_copies_all_but_damaged_entries() {
    let (from, to) = (Folder::new("from"), Folder::new("to"));
    let all = entries(0..100, 100);
    let mut log = DiskLog::open(&from.0, &small(), |_, _, _| Ok(())).unwrap();
    let positions = log.append_and_preallocate(&all).unwrap();
    log.close().unwrap();
    let broken = positions[50];
    let path = from.0.join(segment_name(broken.segment));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[broken.offset as usize + 60] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(count(&from.0).unwrap_err().kind(), ErrorKind::LogDamaged { .. }));

    let salvaged = salvage(&from.0, &to.0, &small()).unwrap();
    assert_eq!((salvaged.entries, salvaged.report.damages.len()), (99, 1));
    assert_eq!(salvaged.report.damages[0].entries_lost, 1);
    let mut saved = Vec::new();
    dump(&to.0, |_, _, entry| {
        saved.push(entry.to_vec());
        Ok(())
    })
    .unwrap();
    assert!(
        saved.iter().eq(all.iter().enumerate().filter(|&(index, _)| index != 50).map(|(_, entry)| entry))
    );
    let again = salvage(&from.0, &to.0, &small()).unwrap_err();
    assert!(again.message().contains("has a log already"), "{again}");
    assert_eq!(salvage(&from.0, &from.0, &small()).unwrap_err().kind(), &ErrorKind::LogRefused);
}

#[test]
fn a_salvage_into_or_above_its_source_is_rejected() {
    let folder = Folder::new("nested");
    let from = folder.0.join("a").join("log");
    count(&from).unwrap();
    let link = folder.0.join("link");
    std::os::unix::fs::symlink(&from, &link).unwrap();
    for to in [
        from.clone(),
        from.join("sub"),
        from.join("new").join("sub"),
        from.join("."),
        from.join("new").join("..").join("sub"),
        folder.0.join("a").join("other").join("..").join("log").join("sub"),
        link.join("sub"),
        folder.0.join("a"),
        folder.0.clone(),
    ] {
        let error = salvage(&from, &to, &small()).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::LogRefused, "{}: {error}", to.display());
        assert!(error.message().contains("is the other or is inside it"), "{}: {error}", to.display());
    }
    let error = salvage(&link, &from.join("sub"), &small()).unwrap_err();
    assert!(error.message().contains("is inside it"), "{error}");
    assert_eq!(
        std::fs::read_dir(&from).unwrap().filter(|file| file.as_ref().unwrap().path().is_dir()).count(),
        0
    );
    salvage(&from, &folder.0.join("a").join("log2"), &small()).unwrap();
}

#[test]
fn only_the_owner_may_access_the_files_of_a_log() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    let folder = Folder::new("mode");
    let (from, to) = (folder.0.join("log"), folder.0.join("copy"));
    let mut log = DiskLog::open(&from, &small(), |_, _, _| Ok(())).unwrap();
    log.append_and_preallocate(&entries(0..300, 100)).unwrap();
    log.trim(200).unwrap();
    log.close().unwrap();
    salvage(&from, &to, &small()).unwrap();
    for directory in [&from, &to] {
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
        let files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() > 1, "a lock and segments: {files:?}");
        files.iter().for_each(|file| assert_eq!(mode(file), 0o600, "{}", file.display()));
    }
    std::fs::set_permissions(&from, PermissionsExt::from_mode(0o750)).unwrap();
    count(&from).unwrap();
    assert_eq!(mode(&from), 0o750, "the mode of an existing directory is unchanged");
}

#[test]
fn a_path_without_a_log_is_refused() {
    let folder = Folder::new("none");
    assert_eq!(verify(&folder.0).unwrap_err().kind(), &ErrorKind::LogRefused);
    std::fs::write(&folder.0, "a file").unwrap();
    assert_eq!(count(&folder.0).unwrap_err().kind(), &ErrorKind::LogRefused);
    std::fs::remove_file(&folder.0).unwrap();
    std::fs::create_dir(&folder.0).unwrap();
    assert!(verify(&folder.0).unwrap_err().message().contains("is no log: it has no segment"));
}

#[test]
fn options_out_of_range_are_rejected() {
    let folder = Folder::new("options");
    for segment_bytes in [0, 4096, 8193, SEGMENT_BYTES_MAX + 4096] {
        let options = Options { segment_bytes, ..small() };
        let error = DiskLog::open(&folder.0, &options, |_, _, _| Ok(())).err().unwrap();
        assert!(matches!(error.kind(), ErrorKind::InvalidField(_)), "{error}");
    }
    assert!(!folder.0.exists());
}
