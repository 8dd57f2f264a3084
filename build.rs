//! The server embeds the built site; a file that comes or goes there must make it compile again.

fn main() {
    let site = std::path::Path::new("target/site");
    // A folder that is missing would count as changed at every build. Without it clippy and tests still compile.
    if let Err(error) = std::fs::create_dir_all(site) {
        println!("cargo::warning=the folder {} cannot be made: {error}", site.display());
    }
    println!("cargo::rerun-if-changed={}", site.display());
    println!("cargo::rerun-if-changed=migrations");
}
