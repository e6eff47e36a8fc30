//! What measures the waits of a renewal besides the time that it is told.

use std::sync::Arc;

use super::prelude::*;
use devid_core::client::renewal::{Meter, Uptime};

/// Tells how long the device has been on. boot: receives a number of this start of the device, another one for each, such as a counter or the
/// first bytes of the kernel's boot_id. seconds: receives the seconds since then, time asleep included; they never go back. Return
/// 0; any other number where it is not known now. Must not use the renewal.
#[callback]
pub type devid_uptime_fn = fn(boot: &mut i64, seconds: &mut i64) -> i32;

/// What measures waits besides `now`: within one start of the device they are exact then, whatever a clock says, and a look that finds
/// nothing due writes nothing. Default: the system's uptime (on Linux) where `now` is the time of the system's clock. Else `now` alone
/// does, and with DEVID_NO_CLOCK whoever calls has waited as long as was told.
///
/// @param uptime   For who has a clock of their own, or none. NULL: the system's, also with DEVID_NO_CLOCK. May be NULL.
/// @param user     Passed to `uptime` and `destroy`. May be NULL.
/// @param destroy  Called once, when the renewal is freed, another function is set, or this call fails. May be NULL.
#[export]
fn devid_renewal_set_uptime(
    renewal: &mut devid_renewal,
    uptime: Option<devid_uptime_fn>,
    user: User,
) -> Result<(), Error> {
    renewal.planner.meter = match uptime {
        Some(uptime) => Meter::Own(Arc::new(move || reading(uptime, &user))),
        None => Meter::System,
    };
    Ok(())
}

fn reading(uptime: devid_uptime_fn, user: &User) -> Option<Uptime> {
    let (mut boot, mut seconds) = (0, -1);
    let is_known = devid_uptime_fn(uptime, user, &mut boot, &mut seconds) == 0 && seconds >= 0;
    is_known.then_some(Uptime { boot: u128::from(u64::from_ne_bytes(boot.to_ne_bytes())), seconds })
}
