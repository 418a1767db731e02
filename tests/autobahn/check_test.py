"""The Autobahn judge itself: every kind of bad report is found. Run: python3 -m unittest check_test"""

import copy
import unittest

import check


def good_index():
    def case_of(section, number):
        case = f"{section}.{number}"
        seen = "INFORMATIONAL" if case in check.INFORMATIONAL else "OK"
        return case, {"behavior": seen, "behaviorClose": "OK", "duration": 3}

    cases = [
        case_of(section, number)
        for section, count in check.CASES.items()
        for number in range(1, count + 1)
    ]
    return {"echo": dict(cases)}


class Judge(unittest.TestCase):
    def altered(self, change):
        index = copy.deepcopy(good_index())
        change(index)
        return check.judge(index)

    def test_a_good_report_has_no_fault(self):
        self.assertEqual(check.judge(good_index()), [])

    def test_no_server_is_found(self):
        self.assertNotEqual(check.judge({}), [])

    def test_a_missing_case_is_found(self):
        self.assertNotEqual(self.altered(lambda i: i["echo"].pop("9.1")), [])

    def test_every_bad_verdict_is_found(self):
        for field in ("behavior", "behaviorClose"):
            for verdict in ("NON-STRICT", "FAILED", "WRONG CODE", "UNCLEAN", "UNIMPLEMENTED", None):
                with self.subTest(field=field, verdict=verdict):
                    bad = lambda i: i["echo"]["6.2"].update({field: verdict})
                    self.assertEqual(len(self.altered(bad)), 1)

    def test_informational_is_right_only_where_the_suite_observes(self):
        bad = lambda i: i["echo"]["6.2"].update(behavior="INFORMATIONAL")
        self.assertEqual(len(self.altered(bad)), 1)

    def test_a_stall_is_found_at_its_boundary(self):
        at = lambda ms: self.altered(lambda i: i["echo"]["9.1"].update(duration=ms))
        self.assertEqual(at(check.STALL_MS), [])
        self.assertEqual(len(at(check.STALL_MS + 1)), 1)


if __name__ == "__main__":
    unittest.main()
