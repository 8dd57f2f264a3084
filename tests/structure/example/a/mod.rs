pub mod inner;
pub fn shown() {
    view! { <p>{crate::b::text()}</p> }
}
