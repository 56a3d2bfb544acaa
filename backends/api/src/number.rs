//! HCL's number: a 512-bit binary float, which is where Packer's digits come from.

use std::fmt;
use std::str::FromStr;

use dashu_float::FBig;
use dashu_float::round::mode::HalfEven;

type Float = FBig<HalfEven, 2>;

/// Bits of mantissa, as in HCL.
pub const PRECISION: usize = 512;

#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub struct Number(Float);

impl Number {
    pub fn from_float(float: Float) -> Self {
        Self(float.with_precision(PRECISION).value())
    }

    pub fn float(&self) -> &Float {
        &self.0
    }

    pub fn is_integer(&self) -> bool {
        !self.0.repr().is_infinite() && self.0.fract() == Float::ZERO
    }

    /// Exact; none when it has a fraction or does not fit.
    pub fn to_i64(&self) -> Option<i64> {
        if !self.is_integer() {
            return None;
        }
        i64::try_from(self.0.to_int().value()).ok()
    }

    /// Exact; none when negative, with a fraction, or too big.
    pub fn to_u64(&self) -> Option<u64> {
        if !self.is_integer() {
            return None;
        }
        u64::try_from(self.0.to_int().value()).ok()
    }

    /// The nearest double.
    pub fn to_f64(&self) -> f64 {
        self.0.to_f64().value()
    }
}

impl From<i64> for Number {
    fn from(n: i64) -> Self {
        Self::from_float(Float::from(n))
    }
}

impl From<u64> for Number {
    fn from(n: u64) -> Self {
        Self::from_float(Float::from(n))
    }
}

/// None for NaN and infinities.
impl TryFrom<f64> for Number {
    type Error = ();

    fn try_from(n: f64) -> Result<Self, ()> {
        match Float::try_from(n) {
            Ok(float) if !float.repr().is_infinite() => Ok(Self::from_float(float)),
            _ => Err(()),
        }
    }
}

/// Decimal digits with an optional fraction and exponent, as HCL writes numbers.
impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        use dashu_float::DBig;
        let decimal = DBig::from_str(text).map_err(|_| format!("`{text}` is not a number"))?;
        let decimal = decimal.with_precision(PRECISION).value();
        Ok(Self(decimal.with_rounding::<HalfEven>().with_base_and_precision::<2>(PRECISION).value()))
    }
}

/// The shortest decimal digits that give the number back, never with an exponent.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_integer() {
            return write!(f, "{}", self.0.to_int().value());
        }
        let decimal = self.0.clone().with_base_and_precision::<10>(150).value();
        write!(f, "{decimal}")
    }
}
