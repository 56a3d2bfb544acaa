//! HCL's number: a binary float of up to 512 bits that rounds half to even. Like Packer's, it
//! remembers how precise its origin was (512 bits for literals, 64 for counts, 53 for doubles):
//! that decides how many digits it prints.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use dashu_base::{BitTest, Sign, UnsignedAbs};
use dashu_float::round::mode::HalfEven;
use dashu_float::{Context, FBig};
use dashu_int::{IBig, UBig};

type Float = FBig<HalfEven, 2>;

/// Bits of mantissa of a literal, as in HCL.
pub const PRECISION: usize = 512;

const INTEGER_PRECISION: usize = 64;
const DOUBLE_PRECISION: usize = 53;

/// Larger exponents only serve to fill memory with zeros.
const MAX_EXPONENT: i64 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("division by zero")]
pub struct DivisionByZero;

#[derive(Clone, Debug)]
pub struct Number(Float);

impl Number {
    /// Exact whatever the size.
    pub fn from_big(n: IBig) -> Self {
        let bits = n.clone().unsigned_abs().bit_len();
        Self(Float::from(n).with_precision(bits.max(INTEGER_PRECISION)).value())
    }

    /// An integer written in `radix` (2 to 36), with an optional sign.
    pub fn from_radix(text: &str, radix: u32) -> Option<Self> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        if !(2..=36).contains(&radix) || digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        IBig::from_str_radix(text, radix).ok().map(Self::from_big)
    }

    pub fn is_integer(&self) -> bool {
        self.0.repr().exponent() >= 0 || self.is_zero()
    }

    pub fn is_zero(&self) -> bool {
        self.0.repr().significand() == &IBig::ZERO
    }

    pub fn is_negative(&self) -> bool {
        !self.is_zero() && self.0.repr().sign() == Sign::Negative
    }

    /// Exact; none when it has a fraction.
    pub fn to_big(&self) -> Option<IBig> {
        self.is_integer().then(|| self.0.to_int().value())
    }

    /// Exact; none when it has a fraction or does not fit.
    pub fn to_i64(&self) -> Option<i64> {
        i64::try_from(self.to_big()?).ok()
    }

    /// Exact; none when negative, with a fraction, or too big.
    pub fn to_u64(&self) -> Option<u64> {
        u64::try_from(self.to_big()?).ok()
    }

    /// The nearest double.
    pub fn to_f64(&self) -> f64 {
        self.0.to_f64().value()
    }

    pub fn add(&self, other: &Self) -> Self {
        let (a, b, exponent) = self.aligned(other);
        self.result(other, a + b, exponent)
    }

    pub fn sub(&self, other: &Self) -> Self {
        let (a, b, exponent) = self.aligned(other);
        self.result(other, a - b, exponent)
    }

    pub fn mul(&self, other: &Self) -> Self {
        let (a, b) = (self.0.repr(), other.0.repr());
        let product = self.result(other, a.significand() * b.significand(), a.exponent() + b.exponent());
        let minus = self.sign() != other.sign();
        // An integer has no negative zero, a float does.
        if product.is_zero() && minus { product.neg() } else { product }
    }

    pub fn div(&self, other: &Self) -> Result<Self, DivisionByZero> {
        if other.is_zero() {
            return Err(DivisionByZero);
        }
        let (a, b) = (self.0.repr(), other.0.repr());
        let precision = self.0.precision().max(other.0.precision());
        let magnitude =
            quotient(a.significand().clone().unsigned_abs(), &b.significand().clone().unsigned_abs(), precision);
        let quotient = Self(magnitude << (a.exponent() - b.exponent()));
        Ok(if self.sign() == other.sign() { quotient } else { quotient.neg() })
    }

    fn sign(&self) -> Sign {
        self.0.repr().sign()
    }

    /// Both significands at the smaller exponent.
    fn aligned(&self, other: &Self) -> (IBig, IBig, isize) {
        let exponent = |n: &Self| if n.is_zero() { isize::MAX } else { n.0.repr().exponent() };
        let low = exponent(self).min(exponent(other));
        if low == isize::MAX {
            return (IBig::ZERO, IBig::ZERO, 0);
        }
        let shifted = |n: &Self| match n.is_zero() {
            true => IBig::ZERO,
            false => n.0.repr().significand() << (exponent(n) - low) as usize,
        };
        (shifted(self), shifted(other), low)
    }

    /// Rounds an exact result once: dashu's own operators may keep a bit more than they should.
    fn result(&self, other: &Self, significand: IBig, exponent: isize) -> Self {
        let precision = self.0.precision().max(other.0.precision());
        Self(rounded(significand, exponent, precision))
    }

    /// What is left of a division that rounds towards zero; it has the sign of `self`.
    pub fn rem(&self, other: &Self) -> Result<Self, DivisionByZero> {
        let quotient = self.div(other)?.trunc();
        Ok(self.sub(&quotient.mul(other)))
    }

    pub fn neg(&self) -> Self {
        Self(-self.0.clone())
    }

    pub fn abs(&self) -> Self {
        if self.is_negative() { self.neg() } else { self.clone() }
    }

    /// -1, 0 or 1.
    pub fn signum(&self) -> i64 {
        match (self.is_zero(), self.is_negative()) {
            (true, _) => 0,
            (_, true) => -1,
            _ => 1,
        }
    }

    pub fn floor(&self) -> Self {
        self.to_integer(Float::floor)
    }

    pub fn ceil(&self) -> Self {
        self.to_integer(Float::ceil)
    }

    pub fn trunc(&self) -> Self {
        self.to_integer(Float::trunc)
    }

    fn to_integer(&self, round: fn(&Float) -> Float) -> Self {
        if self.is_integer() {
            return self.clone();
        }
        Self(round(&self.0).with_precision(self.0.precision()).value())
    }
}

/// By value: how precise the origin was plays no part.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.is_zero() && other.is_zero() {
            return Ordering::Equal;
        }
        self.0.repr().cmp(other.0.repr())
    }
}

impl From<i64> for Number {
    fn from(n: i64) -> Self {
        Self::from_big(n.into())
    }
}

impl From<u64> for Number {
    fn from(n: u64) -> Self {
        Self::from_big(n.into())
    }
}

/// None for NaN and infinities.
impl TryFrom<f64> for Number {
    type Error = ();

    fn try_from(n: f64) -> Result<Self, ()> {
        if !n.is_finite() {
            return Err(());
        }
        let float = Float::try_from(n).map_err(|_| ())?;
        Ok(Self(float.with_precision(DOUBLE_PRECISION).value()))
    }
}

/// Decimal digits with an optional sign, fraction and exponent, as HCL reads numbers.
impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a number");
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent_of(exponent).ok_or_else(wrong)?),
            None => (text, 0),
        };
        let (negative, mantissa) = match mantissa.as_bytes().first() {
            Some(b'-') => (true, &mantissa[1..]),
            Some(b'+') => (false, &mantissa[1..]),
            _ => (false, mantissa),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let exponent = exponent - fraction.len() as i64;
        let digits = UBig::from_str(&digits).map_err(|_| wrong())?;
        if digits != UBig::ZERO && exponent.abs() > MAX_EXPONENT {
            return Err(format!("`{text}` is out of range"));
        }
        let magnitude = scaled(digits, exponent);
        Ok(Self(if negative { -magnitude } else { magnitude }))
    }
}

fn exponent_of(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // More digits than fit are out of any range.
    Some(text.parse().unwrap_or(i64::MAX / 2))
}

/// `digits * 10^exponent`, rounded once.
fn scaled(digits: UBig, exponent: i64) -> Float {
    if digits == UBig::ZERO {
        return rounded(IBig::ZERO, 0, PRECISION);
    }
    let power = UBig::from(10u8).pow(exponent.unsigned_abs() as usize);
    if exponent < 0 {
        return quotient(digits, &power, PRECISION);
    }
    rounded(IBig::from(digits * power), 0, PRECISION)
}

fn rounded(significand: IBig, exponent: isize, precision: usize) -> Float {
    Context::<HalfEven>::new(precision).convert_int::<2>(significand).value() << exponent
}

/// Rounded once: enough quotient bits for the mantissa, and one that stands for the remainder.
fn quotient(dividend: UBig, divisor: &UBig, precision: usize) -> Float {
    let shift = (precision + 2 + divisor.bit_len()).saturating_sub(dividend.bit_len());
    let dividend = dividend << shift;
    let quotient = &dividend / divisor;
    let sticky = UBig::from(u8::from(dividend % divisor != UBig::ZERO));
    rounded(IBig::from((quotient << 1) | sticky), -(shift as isize) - 1, precision)
}

/// The shortest decimal digits that give the number back, never with an exponent.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let repr = self.0.repr();
        let (significand, exponent) = (repr.significand().clone().unsigned_abs(), repr.exponent());
        let negative = repr.sign() == Sign::Negative;
        let text = if significand == UBig::ZERO {
            "0".to_owned()
        } else {
            let bits = significand.bit_len();
            let precision = self.0.precision().max(bits);
            if exponent >= 0 && bits + exponent as usize <= precision {
                (significand << exponent as usize).to_string()
            } else {
                shortest(significand, exponent, precision)
            }
        };
        f.pad_integral(!negative, "", &text)
    }
}

/// The digits of `significand * 2^exponent`: of all decimals that round to it at `precision` bits
/// those with the fewest digits, and of these the nearest.
fn shortest(significand: UBig, exponent: isize, precision: usize) -> String {
    // One bit more than the precision, so that the neighbours' midpoints are at +1 and -1.
    let shift = precision + 1 - significand.bit_len();
    let exponent = exponent - shift as isize;
    let even = shift > 1 || !significand.bit(0);
    let mantissa = significand << shift;
    // In units of 10^-places everything is an integer.
    let (value, half_gap, places) = if exponent >= 0 {
        (mantissa << exponent as usize, UBig::ONE << exponent as usize, 0)
    } else {
        let places = exponent.unsigned_abs();
        let scale = UBig::from(5u8).pow(places);
        (mantissa * &scale, scale, places)
    };
    let close = |distance: &UBig| if even { distance <= &half_gap } else { distance < &half_gap };
    let rounded = |zeros: usize| {
        let unit = UBig::from(10u8).pow(zeros);
        let below = &value % &unit;
        let above = &unit - &below;
        let down = &value - &below;
        match (close(&below), close(&above)) {
            (false, false) => None,
            (true, false) => Some(down),
            (false, true) => Some(down + unit),
            (true, true) => {
                let odd = (&down / &unit).bit(0);
                let up = above < below || (above == below && odd);
                Some(if up { down + unit } else { down })
            }
        }
    };
    // A number with more trailing zeros also has fewer: the most is found by halving.
    let (mut few, mut many) = (0, value.to_string().len() + 1);
    while many - few > 1 {
        let middle = few.midpoint(many);
        if rounded(middle).is_some() { few = middle } else { many = middle }
    }
    let digits = rounded(few).unwrap_or(value).to_string();
    if places == 0 {
        return digits;
    }
    let digits = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

#[cfg(test)]
mod tests;
