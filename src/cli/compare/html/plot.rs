//! Plots as inline SVG whose colours are classes, so that the page's style decides them, in light and in dark.
//!
//! Invariant: plots show measured points, never smoothed ones, except those outside the frame; where many points fall
//! together, the least and the greatest are drawn.

use plotters::{coord::types::RangedCoordf64, prelude::*};

use super::super::trace::Bin;
use crate::generator::Transition;
use crate::logging::figures::short;

/// Most lines that can be told apart.
pub(super) const MAX_SERIES: usize = 12;

/// Colours that stand for classes until the picture is done; no other element has them.
const CLASSES: [(RGBColor, &str); 7] = [
    (RGBColor(1, 0, 1), "ink"),
    (RGBColor(1, 0, 2), "axis"),
    (RGBColor(1, 0, 3), "grid"),
    (RGBColor(1, 0, 4), "truth"),
    (RGBColor(1, 0, 5), "dot"),
    (RGBColor(1, 0, 6), "drift"),
    (RGBColor(1, 0, 7), "span"),
];
const INK: RGBColor = CLASSES[0].0;
const AXIS: RGBColor = CLASSES[1].0;
const GRID: RGBColor = CLASSES[2].0;
const TRUTH: RGBColor = CLASSES[3].0;
const DOT: RGBColor = CLASSES[4].0;
const DRIFT: RGBColor = CLASSES[5].0;
const SPAN: RGBColor = CLASSES[6].0;

fn series(i: usize) -> RGBColor {
    RGBColor(3, 0, (i % MAX_SERIES) as u8)
}

type Error = Box<dyn std::error::Error + Send + Sync>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Scale of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Linear,
    /// Powers of ten.
    Log,
    /// Linear around 0, powers beyond this size on either side.
    Asinh(f64),
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log => value.log10(),
            Scale::Asinh(size) => (value / size).asinh(),
        }
    }

    fn value(self, place: f64) -> f64 {
        match self {
            Scale::Linear => place,
            Scale::Log => 10.0_f64.powf(place),
            Scale::Asinh(size) => place.sinh() * size,
        }
    }

    /// Chooses the scale for values of either sign.
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut sizes: Vec<f64> = values.map(f64::abs).filter(|size| size.is_finite()).collect();
        sizes.sort_by(f64::total_cmp);
        let largest = sizes.last().copied().unwrap_or(0.0);
        let usual = sizes.get(sizes.len() / 2).copied().unwrap_or(0.0);
        // The values may be so far apart that all but a few would lie on one spot.
        if usual > 0.0 && largest / usual > 1000.0 { Scale::Asinh(usual) } else { Scale::Linear }
    }
}

/// A line of [`curves`].
pub(super) struct Line<'a> {
    /// Index of its colour and dash.
    pub(super) series: usize,
    pub(super) bins: &'a [Bin],
    pub(super) is_winner: bool,
}

/// Plots errors over records, with the places where the concept changes. Later lines lie on top.
pub(super) fn curves(title: &str, lines: &[Line<'_>], transitions: &[Transition]) -> Result<String, Error> {
    let (scale, low, high) = range_of(lines);
    let (width, height) = (960, 340);
    // The axis does not reach to the end of the stream, whose last records may all have been refused.
    let last = lines.iter().filter_map(|line| line.bins.last()).map(|bin| bin.at).max().unwrap_or(0).max(1) as f64;
    drawn(title, (width, height), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_top(10)
            .margin_left(8)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..last, scale.place(low)..scale.place(high))?;
        mesh(&mut chart, ("record", Scale::Linear, 8), ("rolling RMSE", scale, 6))?;
        let (bottom, top) = (scale.place(low), scale.place(high));
        for Transition { at, width } in transitions.iter().filter(|it| it.at as f64 <= last) {
            let (from, to) = (*at as f64, ((at + width) as f64).min(last));
            if *width > 0 {
                chart.draw_series([Rectangle::new([(from, bottom), (to, top)], SPAN.mix(0.15).filled())])?;
            }
            chart.draw_series(LineSeries::new([(from, bottom), (from, top)], DRIFT))?;
        }
        for line in lines {
            let points = line.bins.iter().flat_map(|bin| {
                let x = bin.at as f64;
                let second = (bin.high > bin.low).then_some((x, bin.high));
                [Some((x, bin.low)), second].into_iter().flatten()
            });
            let inside = |(x, y): (f64, f64)| (x, scale.place(if y.is_nan() { high } else { y.clamp(low, high) }));
            let style = series(line.series).stroke_width(if line.is_winner { 3 } else { 2 });
            chart.draw_series(LineSeries::new(points.map(inside), style))?;
        }
        Ok(())
    })
}

/// Returns scale and range of the curves' axis: all values except peaks beyond nearly everything else, which are cut at
/// the top.
fn range_of(lines: &[Line<'_>]) -> (Scale, f64, f64) {
    let mut values: Vec<f64> = lines.iter().flat_map(|line| line.bins).flat_map(|bin| [bin.low, bin.high]).collect();
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get((values.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or(0.0);
    let (most, typical) = (at(1.0), at(0.98));
    let least = values.iter().copied().find(|value| *value > 0.0).unwrap_or(0.0);
    if least > 0.0 && typical / least > 100.0 {
        return (Scale::Log, 10.0_f64.powf(least.log10().floor()), most.max(least * 10.0));
    }
    let top = if most > 2.0 * typical { 1.5 * typical } else { most };
    (Scale::Linear, 0.0, if top > 0.0 { 1.08 * top } else { 1.0 })
}

/// Plots predictions against targets; exact ones lie on the diagonal.
pub(super) fn scatter(title: &str, pairs: &[(f64, f64)], of: usize) -> Result<String, Error> {
    let scale = Scale::of(pairs.iter().map(|pair| pair.0));
    let frame = framed(scale, pairs.iter().map(|pair| pair.0));
    drawn(title, (420, 380), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_top(10)
            .margin_left(8)
            .margin_right(20)
            .x_label_area_size(44)
            .y_label_area_size(74)
            .build_cartesian_2d(frame.0..frame.1, frame.0..frame.1)?;
        mesh(&mut chart, ("target", scale, 4), ("prediction", scale, 5))?;
        let inside = |place: f64| if place.is_nan() { frame.1 } else { place.clamp(frame.0, frame.1) };
        let point = |(y, p): &(f64, f64)| {
            Circle::new((inside(scale.place(*y)), inside(scale.place(*p))), 2, series(of).mix(0.55).filled())
        };
        chart.draw_series(pairs.iter().map(point))?;
        chart.draw_series(LineSeries::new([(frame.0, frame.0), (frame.1, frame.1)], TRUTH))?;
        Ok(())
    })
}

/// Plots the newest targets and their predictions.
pub(super) fn latest<'a>(
    title: &str,
    samples: impl Iterator<Item = &'a (u64, f64, f64)> + Clone,
    of: usize,
) -> Result<String, Error> {
    let scale = Scale::of(samples.clone().map(|sample| sample.1));
    let frame = framed(scale, samples.clone().map(|sample| sample.1));
    let records = || samples.clone().map(|sample| sample.0 as f64);
    let first = records().next().unwrap_or(0.0);
    let last = records().last().unwrap_or(0.0).max(first + 1.0);
    drawn(title, (640, 380), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_top(10)
            .margin_left(8)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(74)
            .build_cartesian_2d(first..last, frame.0..frame.1)?;
        mesh(&mut chart, ("record", Scale::Linear, 5), ("target and prediction", scale, 5))?;
        let inside = |place: f64| if place.is_nan() { frame.1 } else { place.clamp(frame.0, frame.1) };
        let targets = samples.clone().map(|(record, y, _)| (*record as f64, inside(scale.place(*y))));
        let predictions = samples.clone().map(|(record, _, p)| (*record as f64, inside(scale.place(*p))));
        chart.draw_series(targets.map(|point| Circle::new(point, 2, DOT.filled())))?;
        chart.draw_series(LineSeries::new(predictions, series(of).stroke_width(2)))?;
        Ok(())
    })
}

/// Returns the range of the targets with a margin, in places on the axis; predictions beyond it are drawn at its edge.
fn framed(scale: Scale, targets: impl Iterator<Item = f64>) -> (f64, f64) {
    let places = targets.map(|target| scale.place(target)).filter(|place| place.is_finite());
    let (low, high) = places.fold((f64::MAX, f64::MIN), |(low, high), place| (low.min(place), high.max(place)));
    if low > high {
        return (0.0, 1.0);
    }
    // We halve each first, since their difference may overflow.
    let margin = (0.1 * (high / 2.0 - low / 2.0)).max(1e-9 * low.abs().max(high.abs())).max(f64::MIN_POSITIVE);
    (low - margin, high + margin)
}

fn mesh(chart: &mut Chart<'_, '_>, x: (&str, Scale, usize), y: (&str, Scale, usize)) -> Result<(), Error> {
    let label = |scale: Scale| move |place: &f64| short(scale.value(*place));
    chart
        .configure_mesh()
        .x_desc(x.0)
        .y_desc(y.0)
        .x_labels(x.2)
        .y_labels(y.2)
        .x_label_formatter(&label(x.1))
        .y_label_formatter(&label(y.1))
        .label_style(("sans-serif", 13, &INK))
        .axis_desc_style(("sans-serif", 13, &INK))
        .axis_style(AXIS)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .draw()?;
    Ok(())
}

/// Draws the picture, with classes for colours.
fn drawn(
    title: &str,
    size: (u32, u32),
    draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Result<(), Error>,
) -> Result<String, Error> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&area)?;
        area.present()?;
    }
    let spelled = |RGBColor(r, g, b): RGBColor| format!("#{r:02X}{g:02X}{b:02X}");
    let of_series = (0..MAX_SERIES).map(|i| (series(i), format!("s{i}"), format!("f{i}")));
    let of_classes = CLASSES.map(|(color, class)| (color, class.to_owned(), class.to_owned()));
    // No element has both a stroke and a fill of ours, so none gets two classes.
    for (color, stroke, fill) in of_classes.into_iter().chain(of_series) {
        let color = spelled(color);
        svg = svg.replace(&format!("stroke=\"{color}\""), &format!("class=\"{stroke}\""));
        svg = svg.replace(&format!("fill=\"{color}\""), &format!("class=\"{fill}\""));
    }
    let title = super::escaped(title);
    Ok(svg.replacen("<svg ", &format!("<svg class=\"plot\" role=\"img\" aria-label=\"{title}\" "), 1))
}
