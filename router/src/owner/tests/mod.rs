//! Properties of the owner machine, one file each.

mod cache;
mod commit;
mod dedup;
mod loading;
mod marks;
mod order;
mod pages;
mod rights;
mod strangers;
mod terms;
