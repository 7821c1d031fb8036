//! Labels beside what they name, without covering each other.

/// The width of a name in the plots, about: fonts differ, so it is that of a wide one.
pub fn width(text: &str) -> f64 {
    let letter = |letter| match letter {
        'i' | 'l' | 'j' | 'I' | '.' | ',' | ' ' | '/' => 4.4,
        'm' | 'w' | 'M' | 'W' => 12.5,
        'f' | 't' | 'r' => 5.8,
        letter if letter.is_ascii_uppercase() => 9.5,
        _ => 8.2,
    };
    text.chars().map(letter).sum()
}

/// Moves heights apart until each has `gap` to the next, within the given ends, and keeps their order. The result has the
/// order of the input.
pub fn apart(heights: &[f64], gap: f64, top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..heights.len()).collect();
    order.sort_by(|&a, &b| heights[a].total_cmp(&heights[b]));
    let mut placed = heights.to_vec();
    let mut least = top;
    for &index in &order {
        placed[index] = placed[index].max(least);
        least = placed[index] + gap;
    }
    let mut most = bottom;
    for &index in order.iter().rev() {
        placed[index] = placed[index].min(most);
        most = placed[index] - gap;
    }
    placed
}

/// A rectangle that something covers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// The left end.
    pub left: f64,
    /// The upper end.
    pub top: f64,
    /// The right end.
    pub right: f64,
    /// The lower end.
    pub bottom: f64,
}

impl Area {
    /// That of a text whose base line begins at a point.
    pub fn of_text(text: &str, x: f64, y: f64) -> Self {
        Self {
            left: x,
            top: y - 10.0,
            right: x + width(text),
            bottom: y + 3.0,
        }
    }

    /// That of a mark around a point.
    pub fn of_mark(x: f64, y: f64) -> Self {
        Self {
            left: x - 6.0,
            top: y - 6.0,
            right: x + 6.0,
            bottom: y + 6.0,
        }
    }

    /// The same with more room at the left and at the right.
    pub fn wider(self, by: f64) -> Self {
        Self {
            left: self.left - by,
            right: self.right + by,
            ..self
        }
    }

    /// The point of it that is nearest to another.
    pub fn nearest(&self, x: f64, y: f64) -> (f64, f64) {
        (
            x.clamp(self.left, self.right),
            y.clamp(self.top, self.bottom),
        )
    }

    fn meets(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn is_within(&self, outer: &Self) -> bool {
        self.left >= outer.left
            && self.right <= outer.right
            && self.top >= outer.top
            && self.bottom <= outer.bottom
    }
}

/// How far a text moves on where there is no room, about its height.
const STEP: f64 = 14.0;
/// How often it does. The lines of other points may be long.
const STEPS_MAX: u8 = 10;

/// Where a text goes that names a point: to the right of it, else to another side, and further away each time, where it
/// covers nothing of `taken` and stays within `room`. Absent if there is no such place.
pub fn beside(text: &str, x: f64, y: f64, taken: &[Area], room: &Area) -> Option<(f64, f64)> {
    let wide = width(text);
    let places = (0..=STEPS_MAX).flat_map(|step| {
        let away = f64::from(step) * STEP;
        [
            (x + 10.0, y + 4.0 - away),
            (x + 10.0, y + 4.0 + away),
            (x - 10.0 - wide, y + 4.0 - away),
            (x - 10.0 - wide, y + 4.0 + away),
            (x - wide / 2.0, y - 12.0 - away),
            (x - wide / 2.0, y + 20.0 + away),
        ]
    });
    places.into_iter().find(|&(x, y)| {
        let area = Area::of_text(text, x, y);
        area.is_within(room) && !taken.iter().any(|other| area.meets(other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_keep_their_order_and_get_room() {
        assert_eq!(
            apart(&[50.0, 51.0, 10.0], 14.0, 0.0, 100.0),
            [50.0, 64.0, 10.0]
        );
        assert_eq!(apart(&[98.0, 99.0], 14.0, 0.0, 100.0), [86.0, 100.0]);
    }

    #[test]
    fn a_label_avoids_what_is_there() {
        let room = Area {
            left: 0.0,
            top: 0.0,
            right: 200.0,
            bottom: 100.0,
        };
        assert_eq!(beside("SSE", 50.0, 50.0, &[], &room), Some((60.0, 54.0)));
        let right = Area::of_text("WebSocket", 60.0, 54.0);
        let place = beside("SSE", 50.0, 50.0, &[right], &room);
        assert!(place.is_some_and(|(x, y)| !Area::of_text("SSE", x, y).meets(&right)));
        assert_eq!(beside("SSE", 50.0, 50.0, &[room], &room), None);
    }

    #[test]
    fn a_label_goes_above_a_long_line_beside_its_mark() {
        let room = Area {
            left: 0.0,
            top: 0.0,
            right: 300.0,
            bottom: 200.0,
        };
        // Too near to the left end for the name, and the line leaves no room to the right.
        let line = Area {
            left: 58.0,
            top: 80.0,
            right: 61.0,
            bottom: 200.0,
        };
        let place = beside("WebSocket", 40.0, 190.0, &[line], &room);
        assert!(place.is_some_and(|(_, y)| y < 80.0), "{place:?}");
    }
}
