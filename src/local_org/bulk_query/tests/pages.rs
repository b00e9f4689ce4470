//! Pages: their limits, locators, links, and pages without rows.

use super::*;
use crate::local_org::settings::{ResultPagesKey, ResultPagesPath};

/// All pages of a job, from one locator to the next.
fn all(org: &Org, job: &Arc<QueryJob>, max_records: Option<&str>) -> Vec<String> {
    let mut pages = Vec::new();
    let mut asked = Asked { locator: None, max_records: max_records.map(str::to_owned) };
    loop {
        let (text, rows, next) = org.page(job, &asked);
        assert_eq!(super::rows(&text).len() as u64, rows);
        // A page can be had again.
        assert_eq!(org.page(job, &asked), (text.clone(), rows, next.clone()));
        pages.push(text);
        match next {
            Some(next) => asked.locator = Some(next),
            None => return pages,
        }
    }
}

fn names(pages: &[String]) -> Vec<String> {
    pages.iter().flat_map(|page| rows(page)).map(|row| row["Name"].clone()).collect()
}

#[test]
fn pages_have_so_many_rows_and_a_header_each() {
    let settings = Settings { query_page_rows: 100, ..Settings::default() };
    Org::both(settings, |org| {
        org.things(250);
        let job = org.run("SELECT Name FROM Thing__c");
        let expected: Vec<String> = (0..250).map(|n| format!("n{n}")).collect();
        for (most, pages) in [
            (None, 3),
            (Some("1"), 250),
            (Some("7"), 36),
            (Some("249"), 2),
            (Some("250"), 1),
            (Some("9999999999"), 1),
        ] {
            let found = all(org, &job, most);
            assert_eq!(found.len(), pages, "{most:?}");
            assert_eq!(names(&found), expected, "{most:?}");
            assert!(found.iter().all(|page| page.starts_with("\"Name\"\n")));
        }
    });
}

#[test]
fn pages_have_so_many_bytes_but_a_row_at_least() {
    let settings = Settings { query_page_bytes: 130, ..Settings::default() };
    Org::both(settings, |org| {
        // Rows of 12 bytes, and in the middle one that is longer than a page.
        for n in 0..50 {
            let notes = "z".repeat(if n == 25 { 500 } else { 9 });
            org.put("Thing__c", &[("Name", &format!("n{n}")), ("Notes__c", &notes)]);
        }
        let job = org.run("SELECT Notes__c FROM Thing__c");
        let lengths: Vec<usize> =
            all(org, &job, None).iter().map(|page| page.lines().count() - 1).collect();
        assert_eq!(lengths, [10, 10, 5, 1, 10, 10, 4]);
        let two = all(org, &job, Some("2"));
        assert_eq!(two.len(), 26);
        let job = org.run("SELECT Name FROM Thing__c");
        assert_eq!(names(&all(org, &job, None)).len(), 50);
    });
}

#[test]
fn what_is_no_locator_or_number_is_refused() {
    let org = Org::new();
    org.things(5);
    let job = org.run("SELECT Name FROM Thing__c");
    let other = org.run("SELECT Name FROM Thing__c");
    let (_, _, next) = org.page(&job, &most("2"));
    let refusal = |asked: &Asked| {
        let error = org.bulk.page(&other, asked, VERSION).err().unwrap();
        (error.status.as_u16(), error.code.into_owned())
    };
    for wrong in [next.unwrap().as_str(), "null", "", "2", "MjAw"] {
        assert_eq!(refusal(&at(wrong)), (400, "INVALID_QUERY_LOCATOR".to_owned()), "{wrong}");
    }
    for wrong in ["0", "-1", "x", "", "1.5"] {
        assert_eq!(refusal(&most(wrong)), (400, "INVALID_QUERY_FILTER".to_owned()), "{wrong}");
    }
    let error = org.bulk.page(&other, &Asked::default(), "65.0").err().unwrap();
    assert_eq!((error.status.as_u16(), &*error.code), (409, "API_VERSION_MISMATCH"));
    let error = org.bulk.links(&other, None, "65.0").unwrap_err();
    assert_eq!(error.status, 409);
}

#[test]
fn links_lead_to_all_pages() {
    let settings = Settings { query_page_rows: 10, ..Settings::default() };
    let settings = Settings {
        result_pages_key: ResultPagesKey::NextRecordUrl,
        result_pages_path: ResultPagesPath::CamelCase,
        ..settings
    };
    for (settings, key, path) in [
        (Settings { query_page_rows: 10, ..Settings::default() }, "nextRecordsUrl", "resultpages"),
        (settings, "nextRecordUrl", "resultPages"),
    ] {
        let org = Org::with(settings);
        org.things(123);
        let job = org.run("SELECT Name FROM Thing__c");
        let base = format!("/services/data/v66.0/jobs/query/{}", job.key());
        let mut from: Option<String> = None;
        let (mut pages, mut calls) = (Vec::new(), 0);
        loop {
            let body = org.bulk.links(&job, from.as_deref(), VERSION).unwrap();
            calls += 1;
            for link in body["resultPages"].as_array().unwrap() {
                let url = link["resultUrl"].as_str().unwrap();
                let locator = url.strip_prefix(&format!("{base}/results?locator=")).unwrap();
                pages.push(org.page(&job, &at(locator)).0);
            }
            if body["done"] == true {
                assert!(body.get(key).is_none());
                break;
            }
            let next = body[key].as_str().unwrap();
            from = Some(next.strip_prefix(&format!("{base}/{path}?locator=")).unwrap().to_owned());
        }
        assert_eq!((calls, pages.len()), (3, 13));
        assert_eq!(names(&pages), (0..123).map(|n| format!("n{n}")).collect::<Vec<_>>());
        assert_eq!(org.bulk.links(&job, None, "57.0").unwrap_err().status, 404);
    }
}

#[test]
fn no_rows_make_one_page_with_its_header() {
    Org::both(Settings::default(), |org| {
        let job = org.run("SELECT Id, Name FROM Thing__c");
        assert_eq!(org.page(&job, &Asked::default()), ("\"Id\",\"Name\"\n".to_owned(), 0, None));
        let links = org.bulk.links(&job, None, VERSION).unwrap();
        assert_eq!(links["resultPages"].as_array().unwrap().len(), 1);
        assert_eq!(links["done"], true);
        let url = links["resultPages"][0]["resultUrl"].as_str().unwrap();
        let (_, locator) = url.split_once("locator=").unwrap();
        assert_eq!(org.page(&job, &at(locator)).1, 0);
    });
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, ..Default::default() })]

    #[test]
    fn any_text_comes_back_whatever_the_pages(
        texts in proptest::collection::vec("[\\PC\"\n\r,;|]{1,60}", 1..40),
        most in 1..50_u64,
        bytes in 1..2_000_u64,
    ) {
        let settings = Settings { query_page_rows: most, query_page_bytes: bytes, ..Settings::default() };
        let org = Org::with(settings);
        for text in &texts {
            org.put("Thing__c", &[("Name", "n"), ("Notes__c", text)]);
        }
        let job = org.run("SELECT Notes__c FROM Thing__c");
        let found: Vec<String> = all(&org, &job, None)
            .iter()
            .flat_map(|page| rows(page))
            .map(|mut row| row.remove("Notes__c").unwrap())
            .collect();
        proptest::prop_assert_eq!(found, texts);
    }
}
