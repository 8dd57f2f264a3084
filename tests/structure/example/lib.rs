mod a;
mod b;
pub use a::inner::Deep;
