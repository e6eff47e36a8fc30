//! What a row means for C, and which rows are refused.

use devid_rows::{Callback, Function, declarations, handles};
use syn::parse_str;

fn row(text: &str) -> syn::Result<Function> {
    Function::new(Default::default(), parse_str(text)?)
}

fn refusal(text: &str) -> String {
    match row(text) {
        Ok(_) => panic!("taken: {text}"),
        Err(error) => error.to_string(),
    }
}

/// The declarations of a file, without spaces that only the printer knows.
fn declared(text: &str) -> String {
    let file = syn::parse_file(text).unwrap();
    let names: Vec<String> = handles(&file).collect();
    let tokens = declarations(&file, &|name| names.iter().any(|known| known == name)).unwrap();
    tokens.to_string().replace(" ", "")
}

fn documented(text: &str) -> Vec<String> {
    let declared = declared(text);
    declared.split("#[doc=\"").skip(1).map(|part| part.split("\"]").next().unwrap().to_owned()).collect()
}

#[test]
fn each_kind_becomes_what_c_passes() {
    let all = declared(
        "#[handle] pub type devid_key = Key;
         /// Does it.
         ///
         /// @param name Not NULL.
         /// @param data May be NULL.
         /// @param on 1 or 0.
         /// @param call Not NULL.
         /// @param user May be NULL.
         /// @param destroy May be NULL.
         /// @param out_key Not NULL.
         /// @param out_time May be NULL.
         #[export]
         fn devid_x(key: &mut devid_key, name: &str, data: Option<&[u8]>, on: bool, call: devid_x_fn, user: User, now: Time)
             -> Result<(devid_key, Time), Error> { work() }",
    );
    let wanted = "devid_x(key:*mutdevid_key,name:*constc_char,data:*constu8,data_len:usize,on:i32,call:devid_x_fn,user:*mutc_void,\
                  destroy:devid_destroy_fn,now:i64,out_key:*mut*mutdevid_key,out_time:*muti64,err:*mut*mutdevid_error)->devid_status";
    assert!(all.contains(wanted), "{all}");
    assert!(all.contains("#[must_use]"));
}

#[test]
fn what_follows_from_a_kind_is_written_by_itself_and_in_its_place() {
    let lines = documented(
        "/// Does it.
         ///
         /// @param data Bytes. Not NULL.
         #[export] fn devid_x(key: &devid_key, data: &[u8], now: Time) -> Result<(), Error> {}",
    );
    let wanted = [
        "Doesit.",
        "",
        "@paramkeyNotNULL.",
        "@paramdataBytes.NotNULL.",
        "@paramdata_lenLengthof`data`inbytes.",
        "@paramnowThepresent,insecondssince1970-01-01T00:00:00Z.",
        "@paramerrReceivesdetailsonfailure,elseNULL.MaybeNULL.",
        "@returnDEVID_OKorafailure.",
    ];
    assert_eq!(lines, wanted);
    let getter = "/// Text.\n///\n/// @return Text.\n#[export] fn devid_x(key: &devid_key) -> Option<&CStr> { None }";
    assert_eq!(documented(getter)[2], "@paramkeyMaybeNULL(givesNULL).");
}

#[test]
fn text_that_says_something_else_than_the_types_is_refused() {
    let row = |parameter: &str, says: &str| {
        refusal(&format!(
            "/// Does it.\n///\n/// @param x  {says}\n#[export] fn devid_x(x: {parameter}) -> Result<(), Error> {{}}"
        ))
    };
    assert!(row("&str", "May be NULL.").contains("\"Not NULL\""));
    assert!(row("Option<&str>", "Not NULL.").contains("\"May be NULL\""));
    assert!(row("Option<&devid_key>", "Not NULL.").contains("\"May be NULL\""));
    assert!(row("&[u8]", "Bytes.").contains("\"Not NULL\""));
    assert!(row("devid_x_fn", "May be NULL.").contains("\"Not NULL\""));
    let twice =
        "/// @param x  Not NULL.\n/// @param y  A number.\n#[export] fn devid_x(x: &str) -> Result<(), Error> {}";
    assert!(refusal(twice).contains("`@param y` is of no parameter"));
    assert!(
        refusal("/// Does it.\n#[export] fn devid_x(x: &str) -> Result<(), Error> {}")
            .contains("`@param x` is missing")
    );
    assert!(refusal("/// Tells.\n#[export] fn devid_x(x: &devid_key) -> i32 { 0 }").contains("`@return` is missing"));
}

#[test]
fn results_and_their_names_go_together() {
    let row = "/// Does it.\n///\n/// @param out_a  Not NULL.\n#[export] fn devid_x() -> Result<(i32, i32), Error> {}";
    assert!(refusal(row).contains("2 results"));
    assert!(refusal("/// Does it.\n#[export] fn devid_x() -> Result<i32, Error> {}").contains("1 results"));
}

#[test]
fn what_c_cannot_pass_is_refused() {
    let option = "/// @param x  1 or 0.\n#[export] fn devid_x(x: Option<bool>) -> Result<(), Error> {}";
    assert!(refusal(option).contains("leave this out"));
    let tuple = "/// @param x  Two.\n#[export] fn devid_x(x: (i32, i32)) -> Result<(), Error> {}";
    assert!(refusal(tuple).contains("no kind"));
    assert!(Callback::new(parse_str("pub type devid_x_fn = i32;").unwrap()).is_err());
    assert!(Callback::new(parse_str("pub type devid_x_fn = fn(i32) -> i32;").unwrap()).is_err());
}

#[test]
fn a_callback_takes_the_same_kinds() {
    let all = declared(
        "#[handle] pub type devid_bytes = Buffer;
         #[callback] pub type devid_x_fn = fn(name: &str, data: &[u8], reply: &mut devid_bytes, out_found: &mut i32) -> i32;",
    );
    let wanted = "pubtypedevid_x_fn=Option<unsafeextern\"C\"fn(user:*mutc_void,name:*constc_char,data:*constu8,data_len:usize,\
                  reply:*mutdevid_bytes,out_found:*muti32)->i32>;";
    assert!(all.contains(wanted), "{all}");
}
