//! Arrays in messages: decoded ones stay bytes of the frame and are read where they lie, own ones are a `Vec`.

use std::fmt;
use std::marker::PhantomData;

use crate::base::TopicId;
use crate::wire::decoder::{DecodeError, Decoder};
use crate::wire::encoder::{EncodeError, Encoder};
use crate::wire::message::Str;

/// What can stand in an array: a primitive, or a struct of some message.
pub trait Element<'a>: Clone {
    /// The bytes that each takes, when all take the same and any bytes will do.
    const FIXED_SIZE: Option<usize> = None;

    /// Reads one.
    fn decode_element(d: &mut Decoder<'a>, version: i16, flexible: bool) -> Result<Self, DecodeError>;

    /// Writes one.
    fn encode_element(&self, e: &mut Encoder, version: i16, flexible: bool) -> Result<(), EncodeError>;
}

macro_rules! fixed_elements {
    ($($ty:ty: $size:literal, $get:ident, $put:ident;)*) => {$(
        impl<'a> Element<'a> for $ty {
            const FIXED_SIZE: Option<usize> = Some($size);

            fn decode_element(d: &mut Decoder<'a>, _: i16, _: bool) -> Result<Self, DecodeError> {
                d.$get()
            }

            fn encode_element(&self, e: &mut Encoder, _: i16, _: bool) -> Result<(), EncodeError> {
                e.$put(*self);
                Ok(())
            }
        }
    )*};
}

fixed_elements! {
    i8: 1, i8, put_i8;
    i16: 2, i16, put_i16;
    i32: 4, i32, put_i32;
    i64: 8, i64, put_i64;
    TopicId: 16, uuid, put_uuid;
}

impl<'a> Element<'a> for Str<'a> {
    fn decode_element(d: &mut Decoder<'a>, _: i16, flexible: bool) -> Result<Self, DecodeError> {
        d.string(flexible)
    }

    fn encode_element(&self, e: &mut Encoder, _: i16, flexible: bool) -> Result<(), EncodeError> {
        e.put_string(self, flexible)
    }
}

/// An array of a message.
///
/// Decoding checks every element once and keeps the bytes; walking reads them again, so that no input makes
/// us allocate. [`From<Vec>`] and [`FromIterator`] make one to send.
#[derive(Clone)]
pub struct Array<'a, T> {
    inner: Inner<'a, T>,
}

#[derive(Clone)]
enum Inner<'a, T> {
    Wire(Wire<'a, T>),
    Owned(Vec<T>),
}

/// Invariant: `rest` holds `left` elements that decode in `version`.
struct Wire<'a, T> {
    rest: Decoder<'a>,
    left: usize,
    version: i16,
    flexible: bool,
    element: PhantomData<fn() -> T>,
}

impl<T> Clone for Wire<'_, T> {
    fn clone(&self) -> Self {
        Wire {
            rest: self.rest.clone(),
            element: PhantomData,
            ..*self
        }
    }
}

impl<'a, T: Element<'a>> Array<'a, T> {
    /// The array in `bytes`, whose `count` elements the caller has read once.
    pub(in crate::wire) fn checked(bytes: &'a [u8], count: usize, version: i16, flexible: bool) -> Self {
        let rest = Decoder::new(bytes);
        Array {
            inner: Inner::Wire(Wire {
                rest,
                left: count,
                version,
                flexible,
                element: PhantomData,
            }),
        }
    }

    /// The elements in order, each by value: read from the frame, or cloned from the `Vec`.
    pub fn iter(&self) -> Iter<'a, '_, T> {
        let source = match &self.inner {
            Inner::Wire(wire) => Source::Wire(wire.clone()),
            Inner::Owned(elements) => Source::Owned(elements.iter()),
        };
        Iter { source }
    }

    /// Writes the elements, without their count.
    pub(in crate::wire) fn encode_elements(
        &self,
        e: &mut Encoder,
        version: i16,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        match &self.inner {
            Inner::Wire(_) => self
                .iter()
                .try_for_each(|x| x.encode_element(e, version, flexible)),
            Inner::Owned(elements) => elements
                .iter()
                .try_for_each(|x| x.encode_element(e, version, flexible)),
        }
    }
}

impl<T> Array<'_, T> {
    /// How many elements there are.
    pub fn len(&self) -> usize {
        match &self.inner {
            Inner::Wire(wire) => wire.left,
            Inner::Owned(elements) => elements.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// See [`Array::iter`].
pub struct Iter<'a, 'b, T> {
    source: Source<'a, 'b, T>,
}

enum Source<'a, 'b, T> {
    Wire(Wire<'a, T>),
    Owned(std::slice::Iter<'b, T>),
}

impl<'a, T: Element<'a>> Iterator for Iter<'a, '_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.source {
            Source::Wire(wire) => wire.next(),
            Source::Owned(elements) => elements.next().cloned(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.source {
            Source::Wire(wire) => wire.left,
            Source::Owned(elements) => elements.len(),
        };
        (left, Some(left))
    }
}

impl<'a, T: Element<'a>> ExactSizeIterator for Iter<'a, '_, T> {}

impl<'a, T: Element<'a>> Wire<'a, T> {
    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        match T::decode_element(&mut self.rest, self.version, self.flexible) {
            Ok(element) => Some(element),
            Err(error) => panic!("an array that was checked does not decode: {error}"),
        }
    }
}

impl<'a, 'b, T: Element<'a>> IntoIterator for &'b Array<'a, T> {
    type Item = T;
    type IntoIter = Iter<'a, 'b, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> Default for Array<'_, T> {
    fn default() -> Self {
        Array::from(Vec::new())
    }
}

impl<T> From<Vec<T>> for Array<'_, T> {
    fn from(elements: Vec<T>) -> Self {
        Array {
            inner: Inner::Owned(elements),
        }
    }
}

impl<T> FromIterator<T> for Array<'_, T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Array::from(Vec::from_iter(elements))
    }
}

impl<'a, T: Element<'a> + PartialEq> PartialEq for Array<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<'a, T: Element<'a> + fmt::Debug> fmt::Debug for Array<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
