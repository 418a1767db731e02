//! The embedded engine does what every store does.
#![allow(clippy::unwrap_used)] // the lint's exception for tests does not see their helpers

mod conformance;
mod fixture;

use conformance::Subject;
use tempfile::TempDir;
use throng_store::Epoch;
use throng_store::embedded::Embedded;

struct InDirectory {
    store: Option<Embedded>,
    dir: TempDir,
}

impl Subject for InDirectory {
    type Store = Embedded;

    fn store(&self) -> Embedded {
        self.store.clone().unwrap()
    }

    fn epoch(&self) -> Epoch {
        self.store().epoch()
    }

    async fn restart(&mut self) {
        self.store = None;
        self.store = Some(fixture::open(self.dir.path()));
    }
}

async fn fresh() -> InDirectory {
    let dir = tempfile::tempdir().unwrap();
    InDirectory { store: Some(fixture::open(dir.path())), dir }
}

reads_conform! { super::fresh(), [cfg(all())] }
projections_conform! { super::fresh(), [cfg(all())] }
windows_conform! { super::fresh(), [cfg(all())] }
