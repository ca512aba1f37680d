//! The demo's data: drawn scenes with true captions, in the formats a Flickr30k user is sent.

mod captions;
mod draw;
mod folder;
mod says;
mod scene;

pub use captions::captions;
pub use draw::draw;
pub use folder::{Contents, DEFINITION, Recipe, prepare};
pub use says::Says;
pub use scene::{Background, Colour, Object, Place, Scene, Shape, Size};
