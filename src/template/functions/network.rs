//! Addresses. IPv4 and IPv6 alike are whole numbers of 32 or 128 bits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bakehouse_api::Value;

use super::{Args, CallCx, CallError, Outcome, strings};

#[derive(Clone, Copy, Debug)]
struct Network {
    /// The first address.
    base: u128,
    prefix: u32,
    /// 32 or 128.
    bits: u32,
}

impl Network {
    fn parse(args: &Args<'_>, index: usize) -> Result<Self, CallError> {
        let text = args.str(index);
        let wrong = || args.wrong(index, format!("\"{text}\" is not a network like 10.0.0.0/8 or fd00::/64"));
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let (address, bits) = match address.parse().map_err(|_| wrong())? {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix: u32 = prefix.parse().ok().filter(|prefix| digits && *prefix <= bits).ok_or_else(wrong)?;
        Ok(Self { base: address & !low_mask(bits - prefix), prefix, bits })
    }

    fn host_bits(self) -> u32 {
        self.bits - self.prefix
    }

    fn show(self, address: u128) -> String {
        match self.bits {
            32 => Ipv4Addr::from_bits(address as u32).to_string(),
            _ => Ipv6Addr::from_bits(address).to_string(),
        }
    }
}

fn low_mask(bits: u32) -> u128 {
    if bits >= 128 { u128::MAX } else { (1 << bits) - 1 }
}

pub(super) fn cidrhost(_: &CallCx, args: &Args<'_>) -> Outcome {
    let network = Network::parse(args, 0)?;
    let host = args.int(1)?;
    let last = low_mask(network.host_bits());
    let magnitude = u128::from(host.unsigned_abs());
    // Negative numbers count from the end.
    let offset = if host < 0 { last.checked_sub(magnitude - 1) } else { Some(magnitude).filter(|n| *n <= last) };
    match offset {
        Some(offset) => Ok(network.show(network.base | offset).into()),
        None => Err(args.wrong(1, format!("a /{} network has no host number {host}", network.prefix))),
    }
}

pub(super) fn cidrnetmask(_: &CallCx, args: &Args<'_>) -> Outcome {
    let network = Network::parse(args, 0)?;
    if network.bits != 32 {
        return Err(args.wrong(0, "only IPv4 networks have a netmask"));
    }
    Ok(network.show(u128::from(u32::MAX) & !low_mask(network.host_bits())).into())
}

fn longer(args: &Args<'_>, index: usize, network: Network) -> Result<u32, CallError> {
    let newbits = args.int(index)?;
    let wrong = || {
        let room = network.host_bits();
        args.wrong(index, format!("{newbits} more bits do not fit; a /{} network has {room} left", network.prefix))
    };
    u32::try_from(newbits)
        .ok()
        .filter(|bits| *bits <= network.host_bits())
        .map(|bits| network.prefix + bits)
        .ok_or_else(wrong)
}

pub(super) fn cidrsubnet(_: &CallCx, args: &Args<'_>) -> Outcome {
    let network = Network::parse(args, 0)?;
    let prefix = longer(args, 1, network)?;
    let number = args.int(2)?;
    let newbits = prefix - network.prefix;
    let fits = u128::try_from(number).ok().filter(|number| *number <= low_mask(newbits));
    let number = fits.ok_or_else(|| args.wrong(2, format!("{newbits} bits cannot hold the number {number}")))?;
    let shift = network.bits - prefix;
    let base = network.base | if shift >= 128 { 0 } else { number << shift };
    Ok(Value::from(format!("{}/{prefix}", network.show(base))))
}

/// One behind the other, each aligned to its own size.
pub(super) fn cidrsubnets(_: &CallCx, args: &Args<'_>) -> Outcome {
    let network = Network::parse(args, 0)?;
    let mut subnets = Vec::new();
    let mut offset: Option<u128> = Some(0);
    for index in 1..args.len() {
        let prefix = longer(args, index, network)?;
        let mask = low_mask(network.bits - prefix);
        let aligned = offset.and_then(|offset| offset.checked_add(mask)).map(|end| end & !mask);
        let start = aligned.filter(|start| *start <= low_mask(network.host_bits()));
        let start = start.ok_or_else(|| args.wrong(index, "there is no room left for this subnet"))?;
        subnets.push(format!("{}/{prefix}", network.show(network.base | start)));
        offset = start.checked_add(mask).and_then(|end| end.checked_add(1));
    }
    Ok(strings(subnets))
}
