//! A libcrypto behind the functions of `benches/openssl/bench.h`, and the PKI it makes.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::rc::Rc;

use libloading::{Library, Symbol};

use crate::Result;

/// Which keys a PKI has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    P256,
    Rsa2048,
}

impl KeyType {
    pub const ALL: [KeyType; 2] = [KeyType::P256, KeyType::Rsa2048];

    pub fn name(self) -> &'static str {
        match self {
            KeyType::P256 => "P-256",
            KeyType::Rsa2048 => "RSA-2048",
        }
    }
}

/// One DER of a PKI; the numbers are those of `enum bench_item`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Item {
    Root = 0,
    Issuing = 1,
    Supplier = 3,
    Device = 4,
    Leaf = 5,
    RootKey = 8,
    IssuingKey = 9,
    DeviceKey = 12,
    NewKey = 13,
    OcspByCa = 14,
    OcspDelegated = 15,
}

const ITEM_COUNT: usize = 16;

pub type Exchange = unsafe extern "C" fn(*mut c_void, *const u8, usize, *mut *const u8, *mut usize) -> c_int;

/// A shared object of `benches/openssl`, loaded so that its symbols meet no others.
#[derive(Clone)]
pub struct Openssl {
    pub name: String,
    pub path: String,
    library: Rc<Library>,
}

impl Openssl {
    pub fn load(name: &str, path: &str) -> Result<Self> {
        // SAFETY: our own object; loading it runs no code but libcrypto's initialisers.
        let library = unsafe { Library::new(path) }?;
        Ok(Openssl { name: name.to_owned(), path: path.to_owned(), library: Rc::new(library) })
    }

    /// The version, such as `3.0.19`.
    pub fn version(&self) -> String {
        // SAFETY: the prototype is that of bench.h; the answer is a static text.
        unsafe { text(self.function::<unsafe extern "C" fn() -> *const c_char>("bench_version")()) }
    }

    fn failed(&self, what: &str) -> String {
        // SAFETY: as above; the text is copied before the next call.
        let reason = unsafe { text(self.function::<unsafe extern "C" fn() -> *const c_char>("bench_last_error")()) };
        format!("{} {what}: {reason}", self.name)
    }

    fn checked(&self, outcome: c_int, what: &str) -> Result<()> {
        if outcome == 1 { Ok(()) } else { Err(self.failed(what).into()) }
    }

    fn made(&self, handle: *mut c_void, what: &str) -> Result<*mut c_void> {
        if handle.is_null() { Err(self.failed(what).into()) } else { Ok(handle) }
    }

    /// A function of bench.h.
    ///
    /// SAFETY: `F` is the function's prototype there.
    unsafe fn function<F: Copy>(&self, name: &str) -> F {
        let symbol: Symbol<'_, F> =
            unsafe { self.library.get(name.as_bytes()) }.expect("the shared object has the functions of bench.h");
        *symbol
    }

    pub fn make_pki(&self, key_type: KeyType) -> Result<Pki> {
        type New = unsafe extern "C" fn(c_int) -> *mut c_void;
        type Get = unsafe extern "C" fn(*const c_void, c_int, *mut usize) -> *const u8;
        // SAFETY: prototypes of bench.h; a PKI lives as long as the process.
        unsafe {
            let handle = self.made(self.function::<New>("bench_pki_new")(key_type as c_int), "makes no PKI")?;
            let get = self.function::<Get>("bench_pki_item");
            let items = (0..ITEM_COUNT).map(|item| {
                let mut len = 0;
                let data = get(handle, item as c_int, &mut len);
                std::slice::from_raw_parts(data, len).to_vec()
            });
            Ok(Pki { handle, items: items.collect() })
        }
    }

    /// A CA over a PKI that this same libcrypto made.
    pub fn make_ca(&self, pki: &Pki, use_mac: bool, grant_implicit: bool) -> Result<Ca> {
        type New = unsafe extern "C" fn(*const c_void, c_int, c_int) -> *mut c_void;
        // SAFETY: prototypes of bench.h.
        unsafe {
            let handle = self.function::<New>("bench_ca_new")(pki.handle, use_mac.into(), grant_implicit.into());
            let handle = self.made(handle, "makes no CA")?;
            Ok(Ca { handle, exchange: self.function::<Exchange>("bench_ca_exchange"), openssl: self.clone() })
        }
    }

    /// A CMP client of this libcrypto, over a PKI that any libcrypto made.
    pub fn make_client(&self, pki: &Pki, use_mac: bool, ask_implicit: bool) -> Result<CmpClient> {
        type New = unsafe extern "C" fn(c_int, c_int, *const *const u8, *const usize) -> *mut c_void;
        let (items, lens) = pointers(&pki.items);
        // SAFETY: prototypes of bench.h; the items are decoded, not kept.
        unsafe {
            let new = self.function::<New>("bench_client_new");
            let handle = new(use_mac.into(), ask_implicit.into(), items.as_ptr(), lens.as_ptr());
            let handle = self.made(handle, "makes no client")?;
            Ok(CmpClient { handle, enrol: self.function("bench_client_enrol"), openssl: self.clone() })
        }
    }

    /// Decodes and validates leaf, intermediate and root, with CRLs if there are any.
    pub fn validate(&self, certificates: &[&[u8]; 3], crls: &[&[u8]], now: i64) -> Result<()> {
        type Validate =
            unsafe extern "C" fn(*const *const u8, *const usize, *const *const u8, *const usize, c_int, i64) -> c_int;
        let ((chain, lens), (crls, crl_lens)) = (pointers(certificates), pointers(crls));
        // SAFETY: prototype of bench.h.
        let outcome = unsafe {
            let validate = self.function::<Validate>("bench_validate");
            validate(chain.as_ptr(), lens.as_ptr(), crls.as_ptr(), crl_lens.as_ptr(), crls.len() as c_int, now)
        };
        self.checked(outcome, "refuses the chain")
    }

    /// A store with root, intermediate and CRLs.
    pub fn make_store(&self, certificates: &[&[u8]; 3], crls: &[&[u8]]) -> Result<Store> {
        type New =
            unsafe extern "C" fn(*const *const u8, *const usize, *const *const u8, *const usize, c_int) -> *mut c_void;
        let ((chain, lens), (crls, crl_lens)) = (pointers(certificates), pointers(crls));
        // SAFETY: prototype of bench.h; the DERs are decoded, not kept.
        let handle = unsafe {
            let new = self.function::<New>("bench_store_new");
            new(chain.as_ptr(), lens.as_ptr(), crls.as_ptr(), crl_lens.as_ptr(), crls.len() as c_int)
        };
        Ok(Store { handle: self.made(handle, "makes no store")?, openssl: self.clone() })
    }

    /// Decodes and verifies an OCSP response for the leaf.
    pub fn ocsp(&self, certificates: &[&[u8]; 3], response: &[u8]) -> Result<()> {
        type Ocsp = unsafe extern "C" fn(*const *const u8, *const usize, *const u8, usize) -> c_int;
        let (chain, lens) = pointers(certificates);
        // SAFETY: prototype of bench.h.
        let outcome = unsafe {
            self.function::<Ocsp>("bench_ocsp")(chain.as_ptr(), lens.as_ptr(), response.as_ptr(), response.len())
        };
        self.checked(outcome, "refuses the OCSP response")
    }

    /// Decodes a CRL and verifies its signature.
    pub fn read_crl(&self, der: &[u8], issuer: &[u8]) -> Result<OpensslCrl> {
        type New = unsafe extern "C" fn(*const u8, usize, *const u8, usize) -> *mut c_void;
        // SAFETY: prototype of bench.h; the DER is decoded, not kept.
        let handle =
            unsafe { self.function::<New>("bench_crl_new")(der.as_ptr(), der.len(), issuer.as_ptr(), issuer.len()) };
        Ok(OpensslCrl { handle: self.made(handle, "refuses the CRL")?, openssl: self.clone() })
    }
}

/// DERs of a PKI.
pub struct Pki {
    handle: *mut c_void,
    items: Vec<Vec<u8>>,
}

impl Pki {
    pub fn item(&self, item: Item) -> &[u8] {
        &self.items[item as usize]
    }

    /// Leaf, intermediate, root.
    pub fn chain(&self) -> [&[u8]; 3] {
        [self.item(Item::Leaf), self.item(Item::Issuing), self.item(Item::Root)]
    }
}

/// The server that all clients talk to.
pub struct Ca {
    pub handle: *mut c_void,
    pub exchange: Exchange,
    openssl: Openssl,
}

impl Ca {
    /// The answer to a request.
    pub fn answer(&self, request: &[u8]) -> Result<Vec<u8>> {
        let (mut data, mut len) = (ptr::null(), 0);
        // SAFETY: prototype of bench.h; the answer lives until the next call.
        unsafe {
            let outcome = (self.exchange)(self.handle, request.as_ptr(), request.len(), &mut data, &mut len);
            self.openssl.checked(outcome, "answers nothing")?;
            Ok(std::slice::from_raw_parts(data, len).to_vec())
        }
    }
}

/// libcrypto's client.
pub struct CmpClient {
    handle: *mut c_void,
    enrol: unsafe extern "C" fn(*mut c_void, Exchange, *mut c_void, *mut i64) -> c_int,
    openssl: Openssl,
}

impl CmpClient {
    /// One enrolment over any exchange function: CPU nanoseconds of the client.
    pub fn enrol(&self, exchange: Exchange, ca: *mut c_void) -> Result<i64> {
        let mut cpu_ns = 0;
        // SAFETY: prototype of bench.h.
        let outcome = unsafe { (self.enrol)(self.handle, exchange, ca, &mut cpu_ns) };
        self.openssl.checked(outcome, "does not enrol")?;
        Ok(cpu_ns)
    }
}

/// A store of libcrypto.
pub struct Store {
    handle: *mut c_void,
    openssl: Openssl,
}

impl Store {
    pub fn validate(&self, leaf: &[u8], now: i64) -> Result<()> {
        type Validate = unsafe extern "C" fn(*mut c_void, *const u8, usize, i64) -> c_int;
        // SAFETY: prototype of bench.h.
        let outcome = unsafe {
            self.openssl.function::<Validate>("bench_store_validate")(self.handle, leaf.as_ptr(), leaf.len(), now)
        };
        self.openssl.checked(outcome, "refuses the chain")
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: prototype of bench.h; the handle is ours.
        unsafe { self.openssl.function::<unsafe extern "C" fn(*mut c_void)>("bench_store_free")(self.handle) }
    }
}

/// A CRL of libcrypto.
pub struct OpensslCrl {
    handle: *mut c_void,
    openssl: Openssl,
}

impl OpensslCrl {
    pub fn is_listed(&self, serial: &[u8]) -> bool {
        type Lookup = unsafe extern "C" fn(*mut c_void, *const u8, usize) -> c_int;
        // SAFETY: prototype of bench.h.
        unsafe { self.openssl.function::<Lookup>("bench_crl_lookup")(self.handle, serial.as_ptr(), serial.len()) == 1 }
    }
}

impl Drop for OpensslCrl {
    fn drop(&mut self) {
        // SAFETY: prototype of bench.h; the handle is ours.
        unsafe { self.openssl.function::<unsafe extern "C" fn(*mut c_void)>("bench_crl_free")(self.handle) }
    }
}

fn pointers<T: AsRef<[u8]>>(items: &[T]) -> (Vec<*const u8>, Vec<usize>) {
    items.iter().map(|item| (item.as_ref().as_ptr(), item.as_ref().len())).unzip()
}

/// SAFETY: `text` is a NUL-terminated text.
unsafe fn text(text: *const c_char) -> String {
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
