//! Two calls of PKCS#11 that the crate `cryptoki` does not offer: C_Initialize without arguments, and C_Sign after a login
//! that belongs to the signature alone (CKU_CONTEXT_SPECIFIC). A crate of its own, as such calls need `unsafe`.

use std::ptr;

use cryptoki::context::Function;
use cryptoki::error::{Error, Rv, RvError};
use cryptoki::session::Session;

/// Longest signature taken: RSA-16384.
const MAX_SIGNATURE_BYTES: u64 = 2048;

/// A module that `cryptoki` has loaded, seen from beside it.
pub struct Module(cryptoki_sys::Pkcs11);

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Module")
    }
}

impl Module {
    /// The module at `path`. Once `cryptoki` has loaded it, this is the same one: the system loads a file once.
    pub fn new(path: &str) -> Result<Self, Error> {
        // SAFETY: a module is as trustworthy as the program that names it; `cryptoki` has run its initializers already.
        Ok(Module(unsafe { cryptoki_sys::Pkcs11::new(path) }?))
    }

    fn functions(&self) -> Result<&cryptoki_sys::CK_FUNCTION_LIST, Error> {
        if self.0.C_GetFunctionList.is_err() {
            return Err(Error::MissingSymbol("C_GetFunctionList"));
        }
        let mut list = ptr::null_mut();
        // SAFETY: the symbol is there; the module writes one pointer.
        let outcome = unsafe { self.0.C_GetFunctionList(&raw mut list) };
        Rv::from(outcome).into_result(Function::GetFunctionList)?;
        // SAFETY: PKCS#11 2.40 5.4: the list is the module's own and stays as long as the module, which `self` holds.
        unsafe { list.as_ref() }.ok_or(Error::NullFunctionPointer)
    }

    /// C_Initialize(NULL): for modules that refuse arguments. Such a module need not be safe for threads (PKCS#11 2.40
    /// 5.4): the caller sees to it that one thread at a time uses it.
    pub fn initialize_without_arguments(&self) -> Result<(), Error> {
        let initialize = self.functions()?.C_Initialize.ok_or(Error::NullFunctionPointer)?;
        // SAFETY: NULL is allowed.
        Rv::from(unsafe { initialize(ptr::null_mut()) }).into_result(Function::Initialize)
    }

    /// C_Sign in the session's signature, which C_SignInit has begun.
    pub fn sign(&self, session: &Session, data: &[u8]) -> Result<Vec<u8>, Error> {
        let sign = self.functions()?.C_Sign.ok_or(Error::NullFunctionPointer)?;
        let mut signature = vec![0; MAX_SIGNATURE_BYTES as usize];
        let mut len = MAX_SIGNATURE_BYTES as cryptoki_sys::CK_ULONG;
        // SAFETY: both buffers are as long as said; the module does not write to the first.
        let outcome = unsafe {
            sign(session.handle(), data.as_ptr().cast_mut(), data.len() as _, signature.as_mut_ptr(), &raw mut len)
        };
        Rv::from(outcome).into_result(Function::Sign)?;
        if len as u64 > MAX_SIGNATURE_BYTES {
            return Err(Error::Pkcs11(RvError::BufferTooSmall, Function::Sign));
        }
        signature.truncate(len as usize);
        Ok(signature)
    }
}
