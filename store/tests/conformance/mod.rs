//! What every store does, whatever its engine.
//!
//! An engine's test file has a [`Subject`] and `conformance!(its_constructor)`, which makes a test
//! of every function here.
#![allow(unreachable_pub)] // each engine's test file is a crate
#![allow(clippy::unwrap_used)] // the lint's exception for tests does not see their helpers

pub mod projections;
pub mod reads;
pub mod windows;

use throng_store::{Epoch, Store};

/// A store under test, empty at first.
pub trait Subject {
    type Store: Store;

    fn store(&self) -> Self::Store;

    /// Term of this run: 1 for the first.
    fn epoch(&self) -> Epoch;

    /// Ends the run, without closing any window, and begins the next.
    async fn restart(&mut self);
}

/// Makes tests of functions of a module. `$subject` is a future of a fresh subject, `$attribute`
/// what every test has beside `#[tokio::test]`, in brackets.
#[macro_export]
macro_rules! conformance {
    ($module:ident, $subject:expr , $attribute:tt; $($test:ident)*) => {
        mod $module {
            $(
                #[tokio::test]
                #$attribute
                async fn $test() {
                    $crate::conformance::$module::$test($subject.await).await;
                }
            )*
        }
    };
}

/// The tests of `reads` for a constructor of subjects.
#[macro_export]
macro_rules! reads_conform {
    ($($parts:tt)*) => {
        conformance! { reads, $($parts)*;
            rows_come_back_as_they_were_written
            conversations_do_not_see_each_other
            ranges_leave_out_their_bound_and_keep_their_direction
            all_epochs_of_a_seq_come_and_ranges_cut_between_seqs
            an_ascending_page_ends_with_the_highest_epoch_of_its_last_seq
            a_page_ends_with_the_row_that_reaches_its_bytes
            a_page_says_whether_there_may_be_more
            a_page_has_at_most_the_bytes_of_a_page_whatever_is_asked
            a_page_has_at_most_its_limit_of_rows
            reads_from_many_tasks_all_end
        }
    };
}

/// The tests of `projections` for a constructor of subjects.
#[macro_export]
macro_rules! projections_conform {
    ($($parts:tt)*) => {
        conformance! { projections, $($parts)*;
            order_and_repetition_do_not_matter
            the_highest_event_wins_and_marks_only_grow
            watermarks_come_in_the_order_asked_and_are_zero_where_there_are_none
            nothing_before_joining_counts_as_unread
            what_is_said_of_the_joining_outlives_later_writes_that_do_not_know_it
            a_conversation_is_in_a_list_once_its_user_is_a_member
            lists_page_without_a_gap_or_a_repeat
            a_call_with_more_cells_than_the_queue_holds_is_done_too
        }
    };
}

/// The tests of `windows` for a constructor of subjects.
#[macro_export]
macro_rules! windows_conform {
    ($($parts:tt)*) => {
        conformance! { windows, $($parts)*;
            windows_of_earlier_runs_are_open_and_those_of_this_one_are_not_listed
            a_closed_window_is_gone_for_good_and_its_neighbours_stay
            pages_over_all_partitions_meet_without_a_gap_or_a_repeat
        }
    };
}
