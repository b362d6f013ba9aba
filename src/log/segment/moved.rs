//! A segment whose directory gets another name.

use super::Segment;
use crate::log::Dir;

impl Segment {
    /// Its files are in `dir` from now on, under the names that they had. Those that are open stay so.
    pub fn move_to(&mut self, dir: &Dir) {
        self.place.dir = dir.clone();
        let spare = self.spare_path.as_deref().and_then(std::path::Path::file_name);
        self.spare_path = spare.map(|name| dir.join(name));
    }
}
