pub struct Deep;
#[cfg(test)]
mod tests {
    use crate::a::shown;
}
