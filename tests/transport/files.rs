//! Messages that travel as files.

use devid::Code;
use devid::transport::file::{self, FileExchange};
use devid::transport::{Exchange, TransportErrorKind as Kind};

use crate::server::{message, quick};

/// A directory of its own, removed when dropped.
struct Place(std::path::PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("devid-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Place(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_transaction_travels_by_files_and_finds_its_place_after_a_reboot() {
    let place = Place::new("files");
    let ask = |request: &[u8]| FileExchange::new(&place.0, "router-7").unwrap().exchange(request, &quick());

    let error = ask(&message(10)).unwrap_err();
    assert_eq!((error.kind, error.code()), (Kind::Busy, Code::Busy));
    let paths = FileExchange::new(&place.0, "router-7").unwrap();
    assert_eq!(std::fs::read(paths.request_path(1)).unwrap(), message(10));

    // The CA's side, weeks later.
    file::write_message(&paths.answer_path(1), &message(500)).unwrap();
    assert_eq!(ask(&message(10)).unwrap().body, message(500));

    assert_eq!(ask(&message(11)).unwrap_err().kind, Kind::Busy);
    assert_eq!(std::fs::read(paths.request_path(2)).unwrap(), message(11));
    assert_eq!(ask(&message(10)).unwrap().body, message(500), "the first exchange still has its answer");
}

#[test]
fn a_message_file_holds_one_der_message_and_nothing_else() {
    let place = Place::new("one-message");
    let path = place.0.join("answer.pki");
    for (bytes, reason) in [
        ([message(10), message(10)].concat(), "bytes behind"),
        (message(10)[..6].to_vec(), "6 bytes of 12"),
        (b"-----BEGIN X-----".to_vec(), "found PEM"),
        (b"MIIEJjCBzAIBAqQdMBsx".to_vec(), "base64"),
        (b"<html>No</html>".to_vec(), "HTML"),
        (vec![7; 20], "something else"),
        (Vec::new(), "the input is empty"),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let error = file::read_message(&path, 1000).unwrap_err();
        assert!(error.detail.contains(reason), "{error}");
        assert!(file::write_message(&place.0.join("request.pki"), &bytes).is_err());
    }
    assert!(!place.0.join("request.pki").exists(), "nothing is written that is not a message");
    std::fs::write(&path, message(2000)).unwrap();
    assert_eq!(file::read_message(&path, 1000).unwrap_err().kind, Kind::TooLarge);
    assert!(file::write_message(&place.0.join("request.der"), &message(1)).unwrap_err().detail.contains(".pki"));
    assert!(FileExchange::new(&place.0, "../x").is_err());
}
