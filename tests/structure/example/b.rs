use crate::{Deep, a};
pub fn text() -> Deep {
    a::shown();
    Deep
}
