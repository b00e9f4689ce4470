//! Words to a query ("SOQL SELECT Syntax", SOQL and SOSL reference).
//!
//! As in the real language, AND and OR don't mix without parentheses.

use super::SoqlError;
use super::ast::{
    Aggregate, Condition, Literal, Operator, OrderBy, Path, Query, Select, SelectItem,
};
use super::dates::{self, DateLiteral};
use super::lexer::{self, Spot, Token};

/// Characters a query may have (protocol notes, section 6).
const MAX_LENGTH: usize = 100_000;

/// Parentheses deeper than this are refused, so that no query exhausts the stack.
const MAX_DEPTH: usize = 50;

/// Parses a query.
///
/// # Errors
/// `MALFORMED_QUERY` with the place in the text.
pub(crate) fn parse(text: &str) -> Result<Query, SoqlError> {
    if text.len() > MAX_LENGTH {
        return Err(SoqlError::plain(
            "MALFORMED_QUERY",
            "SOQL statements cannot be longer than 100000 characters.",
        ));
    }
    let spots = lexer::words(text)?;
    let mut parser = Parser { text, spots, next: 0, depth: 0 };
    let query = parser.query()?;
    match parser.peek() {
        Token::End => Ok(query),
        _ => Err(parser.unexpected()),
    }
}

struct Parser<'a> {
    text: &'a str,
    spots: Vec<Spot>,
    next: usize,
    depth: usize,
}

/// Words that can't be a name.
const RESERVED: [&str; 9] = ["SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "LIKE", "LIMIT"];

/// Words that can't be an alias because they go on with the query.
const CLAUSES: [&str; 12] = [
    "FROM", "WHERE", "GROUP", "ORDER", "LIMIT", "OFFSET", "HAVING", "FOR", "ALL", "WITH", "USING",
    "ASC",
];

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.spots.get(self.next).map_or(&Token::End, |spot| &spot.token)
    }

    fn peek_after(&self, words: usize) -> &Token {
        self.spots.get(self.next + words).map_or(&Token::End, |spot| &spot.token)
    }

    fn at(&self) -> usize {
        self.spots.get(self.next).map_or(self.text.len(), |spot| spot.at)
    }

    fn unexpected(&self) -> SoqlError {
        SoqlError::unexpected(self.text, self.at(), &self.peek().shown())
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn accept(&mut self, keyword: &str) -> bool {
        let found = self.peek().is(keyword);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, keyword: &str) -> Result<(), SoqlError> {
        if self.accept(keyword) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn accept_sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(s) if *s == sign);
        self.next += usize::from(found);
        found
    }

    fn expect_sign(&mut self, sign: &str) -> Result<(), SoqlError> {
        if self.accept_sign(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn name(&mut self) -> Result<String, SoqlError> {
        match self.peek() {
            Token::Word(word)
                if word.starts_with(|c: char| c.is_ascii_alphabetic())
                    && !word.contains(':')
                    && !RESERVED.iter().any(|reserved| word.eq_ignore_ascii_case(reserved)) =>
            {
                let word = word.clone();
                self.next += 1;
                Ok(word)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn path(&mut self) -> Result<Path, SoqlError> {
        let at = self.at();
        let mut names = vec![self.name()?];
        while self.accept_sign(".") {
            names.push(self.name()?);
        }
        Ok(Path { names, at })
    }

    fn query(&mut self) -> Result<Query, SoqlError> {
        self.expect("SELECT")?;
        let select = self.select()?;
        self.expect("FROM")?;
        let object_at = self.at();
        let object = self.name()?;
        let mut query = Query {
            select,
            object,
            object_at,
            condition: None,
            group_by: Vec::new(),
            order_by: Vec::new(),
            limit: None,
            offset: 0,
            all_rows: false,
        };
        if self.accept("WHERE") {
            query.condition = Some(self.condition()?);
        }
        if self.accept("GROUP") {
            self.expect("BY")?;
            query.group_by.push(self.path()?);
            while self.accept_sign(",") {
                query.group_by.push(self.path()?);
            }
        }
        if self.accept("ORDER") {
            self.expect("BY")?;
            query.order_by.push(self.order_by()?);
            while self.accept_sign(",") {
                query.order_by.push(self.order_by()?);
            }
        }
        if self.accept("LIMIT") {
            query.limit = Some(self.whole_number()?);
        }
        if self.accept("OFFSET") {
            query.offset = self.whole_number()?;
        }
        if self.accept("ALL") {
            self.expect("ROWS")?;
            query.all_rows = true;
        }
        Ok(query)
    }

    fn select(&mut self) -> Result<Select, SoqlError> {
        let alone = self.peek().is("COUNT")
            && matches!(self.peek_after(1), Token::Sign("("))
            && matches!(self.peek_after(2), Token::Sign(")"));
        if alone {
            self.next += 3;
            return Ok(Select::Count);
        }
        let mut items = vec![self.select_item(true)?];
        while self.accept_sign(",") {
            items.push(self.select_item(true)?);
        }
        Ok(Select::Items(items))
    }

    fn select_item(&mut self, with_alias: bool) -> Result<SelectItem, SoqlError> {
        let function = match self.peek() {
            Token::Word(word) if matches!(self.peek_after(1), Token::Sign("(")) => {
                let known = [
                    ("COUNT", Aggregate::Count),
                    ("COUNT_DISTINCT", Aggregate::CountDistinct),
                    ("SUM", Aggregate::Sum),
                    ("AVG", Aggregate::Avg),
                    ("MIN", Aggregate::Min),
                    ("MAX", Aggregate::Max),
                ];
                match known.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) {
                    Some((_, function)) => Some(*function),
                    None => return Err(self.unexpected()),
                }
            }
            _ => None,
        };
        let path = if function.is_some() {
            self.next += 2;
            let path = self.path()?;
            self.expect_sign(")")?;
            path
        } else {
            self.path()?
        };
        let alias = match self.peek() {
            Token::Word(word)
                if with_alias
                    && !CLAUSES.iter().any(|clause| word.eq_ignore_ascii_case(clause)) =>
            {
                Some(self.name()?)
            }
            _ => None,
        };
        Ok(match function {
            Some(function) => SelectItem::Aggregate { function, path, alias },
            None => SelectItem::Field { path, alias },
        })
    }

    fn order_by(&mut self) -> Result<OrderBy, SoqlError> {
        let key = self.select_item(false)?;
        let descending = !self.accept("ASC") && self.accept("DESC");
        let mut nulls_last = false;
        if self.accept("NULLS") {
            nulls_last = self.accept("LAST");
            if !nulls_last {
                self.expect("FIRST")?;
            }
        }
        Ok(OrderBy { key, descending, nulls_last })
    }

    fn whole_number(&mut self) -> Result<u64, SoqlError> {
        match self.peek() {
            Token::Word(word) => match word.parse() {
                Ok(number) => {
                    self.next += 1;
                    Ok(number)
                }
                Err(_) => Err(self.unexpected()),
            },
            _ => Err(self.unexpected()),
        }
    }

    fn condition(&mut self) -> Result<Condition, SoqlError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(SoqlError::malformed(
                self.text,
                self.at(),
                "condition is nested too deeply",
            ));
        }
        let first = self.term()?;
        let condition = if self.peek().is("AND") {
            let mut all = vec![first];
            while self.accept("AND") {
                all.push(self.term()?);
            }
            Condition::And(all)
        } else if self.peek().is("OR") {
            let mut any = vec![first];
            while self.accept("OR") {
                any.push(self.term()?);
            }
            Condition::Or(any)
        } else {
            first
        };
        if self.peek().is("AND") || self.peek().is("OR") {
            return Err(self.unexpected());
        }
        self.depth -= 1;
        Ok(condition)
    }

    fn term(&mut self) -> Result<Condition, SoqlError> {
        if self.accept("NOT") {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(self.unexpected());
            }
            let inner = self.term()?;
            self.depth -= 1;
            return Ok(Condition::Not(Box::new(inner)));
        }
        if self.accept_sign("(") {
            let inner = self.condition()?;
            self.expect_sign(")")?;
            return Ok(inner);
        }
        let path = self.path()?;
        if self.accept("NOT") {
            self.expect("IN")?;
            return Ok(Condition::In { path, negated: true, list: self.list()? });
        }
        if self.accept("IN") {
            return Ok(Condition::In { path, negated: false, list: self.list()? });
        }
        let excludes = self.peek().is("EXCLUDES");
        if excludes || self.peek().is("INCLUDES") {
            self.next += 1;
            return Ok(Condition::Includes { path, negated: excludes, list: self.sets()? });
        }
        let operator = self.operator()?;
        let literal = self.literal()?;
        if operator == Operator::Like && !matches!(literal, Literal::Text(_)) {
            return Err(SoqlError::plain(
                "INVALID_QUERY_FILTER_OPERATOR",
                "the LIKE operator takes text in quotes",
            ));
        }
        Ok(Condition::Compare { path, operator, literal })
    }

    fn operator(&mut self) -> Result<Operator, SoqlError> {
        let operator = match self.peek() {
            Token::Sign("=") => Operator::Equal,
            Token::Sign("!=" | "<>") => Operator::NotEqual,
            Token::Sign("<") => Operator::Less,
            Token::Sign("<=") => Operator::LessOrEqual,
            Token::Sign(">") => Operator::Greater,
            Token::Sign(">=") => Operator::GreaterOrEqual,
            token if token.is("LIKE") => Operator::Like,
            _ => return Err(self.unexpected()),
        };
        self.next += 1;
        Ok(operator)
    }

    fn list(&mut self) -> Result<Vec<Literal>, SoqlError> {
        self.expect_sign("(")?;
        let mut list = vec![self.literal()?];
        while self.accept_sign(",") {
            list.push(self.literal()?);
        }
        self.expect_sign(")")?;
        Ok(list)
    }

    fn sets(&mut self) -> Result<Vec<Vec<String>>, SoqlError> {
        let mut sets = Vec::new();
        for literal in self.list()? {
            let Literal::Text(text) = literal else { return Err(self.unexpected()) };
            sets.push(text.split(';').map(|value| value.trim().to_owned()).collect());
        }
        Ok(sets)
    }

    fn literal(&mut self) -> Result<Literal, SoqlError> {
        let at = self.at();
        match self.advance() {
            Token::Text(text) => Ok(Literal::Text(text)),
            Token::Word(word) => {
                bare_literal(&word).ok_or_else(|| SoqlError::unexpected(self.text, at, &word))
            }
            token => Err(SoqlError::unexpected(self.text, at, &token.shown())),
        }
    }
}

/// A value without quotes.
fn bare_literal(word: &str) -> Option<Literal> {
    if word.eq_ignore_ascii_case("null") {
        return Some(Literal::Null);
    }
    if word.eq_ignore_ascii_case("true") {
        return Some(Literal::Boolean(true));
    }
    if word.eq_ignore_ascii_case("false") {
        return Some(Literal::Boolean(false));
    }
    if let Some(range) = DateLiteral::parse(word) {
        return Some(Literal::Range(range));
    }
    if let Some(days) = dates::parse_date(word) {
        return Some(Literal::Date(days));
    }
    if let Some(millis) = dates::parse_datetime(word) {
        return Some(Literal::DateTime(millis));
    }
    if let Some(millis) = dates::parse_time(word) {
        return Some(Literal::Time(millis));
    }
    // `f64` would read `inf` and `nan` too.
    let numeric =
        word.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    numeric.then(|| word.parse().ok()).flatten().map(Literal::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> Condition {
        parse(&format!("SELECT Id FROM Account WHERE {text}")).unwrap().condition.unwrap()
    }

    fn refused(text: &str) -> SoqlError {
        parse(text).unwrap_err()
    }

    #[test]
    fn a_whole_query_is_taken_apart() {
        let query = parse(
            "select Id, Parent.Owner.Name from Account where Name like 'A%' \
             order by Name desc nulls last, Id limit 10 offset 5",
        )
        .unwrap();
        let Select::Items(items) = &query.select else { panic!("not a list") };
        assert_eq!(items.len(), 2);
        assert!(
            matches!(&items[1], SelectItem::Field { path, alias: None } if path.text() == "Parent.Owner.Name")
        );
        assert_eq!((query.object.as_str(), query.limit, query.offset), ("Account", Some(10), 5));
        assert!(query.order_by[0].descending && query.order_by[0].nulls_last);
        assert!(!query.order_by[1].descending && !query.order_by[1].nulls_last);
    }

    #[test]
    fn count_alone_and_aggregates() {
        assert_eq!(parse("SELECT COUNT() FROM Lead").unwrap().select, Select::Count);
        let query = parse(
            "SELECT Industry, COUNT(Id) n, MAX(AnnualRevenue) FROM Account GROUP BY Industry",
        )
        .unwrap();
        let Select::Items(items) = query.select else { panic!("not a list") };
        assert!(
            matches!(&items[1], SelectItem::Aggregate { function: Aggregate::Count, alias: Some(n), .. } if n == "n")
        );
        assert_eq!(query.group_by[0].text(), "Industry");
    }

    #[test]
    fn and_and_or_need_parentheses_to_mix() {
        assert!(parse("SELECT Id FROM A WHERE a = 1 AND b = 2 OR c = 3").is_err());
        let mixed = condition("(a = 1 OR b = 2) AND NOT c = 3");
        let Condition::And(all) = mixed else { panic!("not an AND") };
        assert!(matches!(all[0], Condition::Or(_)) && matches!(all[1], Condition::Not(_)));
    }

    #[test]
    fn values_of_every_kind() {
        let literal = |text: &str| match condition(&format!("x = {text}")) {
            Condition::Compare { literal, .. } => literal,
            other => panic!("{other:?}"),
        };
        assert_eq!(literal("null"), Literal::Null);
        assert_eq!(literal("TRUE"), Literal::Boolean(true));
        assert_eq!(literal("-1.5e3"), Literal::Number(-1500.0));
        assert_eq!(literal("'it\\'s'"), Literal::Text("it's".to_owned()));
        assert_eq!(literal("1970-01-03"), Literal::Date(2));
        assert_eq!(literal("1970-01-01T01:00:00+01:00"), Literal::DateTime(0));
        assert_eq!(literal("1970-01-01T00:00:01.500Z"), Literal::DateTime(1500));
        assert!(matches!(literal("LAST_N_DAYS:30"), Literal::Range(_)));
        assert!(parse("SELECT Id FROM A WHERE x = nan").is_err());
    }

    #[test]
    fn lists_and_sets() {
        assert!(matches!(
            condition("x NOT IN ('a', 'b')"),
            Condition::In { negated: true, list, .. } if list.len() == 2
        ));
        assert!(matches!(
            condition("x INCLUDES ('a;b', 'c')"),
            Condition::Includes { negated: false, list, .. } if list == [vec!["a", "b"], vec!["c"]]
        ));
        assert!(parse("SELECT Id FROM A WHERE x IN ()").is_err());
    }

    #[test]
    fn errors_point_at_the_place() {
        let error = refused("SELECT Id FROM Account WHERE");
        assert_eq!(error.code, "MALFORMED_QUERY");
        assert!(error.message.contains("ERROR at Row:1:Column:29"), "{}", error.message);
        assert!(error.message.ends_with("unexpected token: '<EOF>'"), "{}", error.message);
        assert!(refused("SELECT FROM Account").message.contains("Column:8"));
        assert!(refused("SELECT Id FROM Account LIMIT x").message.contains("'x'"));
        assert!(refused("SELECT Id FROM Account nonsense").message.contains("'nonsense'"));
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        let deep = format!("SELECT Id FROM A WHERE {}x = 1", "(".repeat(10_000));
        assert!(parse(&deep).is_err());
        assert!(parse(&format!("SELECT Id FROM A WHERE {}x = 1", "NOT ".repeat(10_000))).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in "(SELECT|Id|FROM|A|WHERE|AND|OR|NOT|IN|LIKE|\\(|\\)|,|=|'a'|1|null|LIMIT|ORDER BY| ){0,20}") {
            let _ = parse(&text);
        }
    }
}
