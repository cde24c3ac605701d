//! Every kind of panel is drawn, and where it is drawn. `GAN_GPU_FIGURES=DIR cargo test --lib plot` keeps the gallery for the eye.
use super::*;
use crate::run::grid::Picture;

fn pixel(picture: &Picture, [x, y]: [f64; 2]) -> [u8; 3] {
    let at = (y as usize * picture.width + x as usize) * 3;
    [0, 1, 2].map(|k| picture.pixels[at + k])
}

fn close(a: [u8; 3], look::Colour(r, g, b): look::Colour) -> bool {
    let far = |a: u8, b: u8| a.abs_diff(b) > 12;
    !(far(a[0], r) || far(a[1], g) || far(a[2], b))
}

fn keep(name: &str, picture: &Picture) {
    if let Some(folder) = std::env::var_os("GAN_GPU_FIGURES") {
        std::fs::create_dir_all(&folder).unwrap();
        picture
            .write(&std::path::Path::new(&folder).join(format!("{name}.png")))
            .unwrap();
    }
}

fn curve(f: impl Fn(f64) -> f64) -> Vec<[f64; 2]> {
    (0..=200)
        .map(|i| f64::from(i) / 200.0)
        .map(|x| [x, f(x)])
        .collect()
}

#[test]
fn lines_go_through_their_points_and_end_at_the_axes() {
    let chart = Chart::new(
        "A title",
        Axis::new("x in units").within(0.0, 1.0),
        Axis::new("y").within(0.0, 1.0),
    )
    .legend(Legend::LowerRight)
    .line("inside", look::BLUE, curve(|x| 0.25 + 0.5 * x))
    .line("beyond", look::VERMILLION, curve(|x| 3.0 * x))
    .dashed("dashed", look::GREEN, curve(|_| 0.1));
    let drawn = Figure::single(chart).draw_with_frames().unwrap();
    keep("lines", &drawn.picture);
    let frame = drawn.frames[0];
    for x in [0.05, 0.45, 0.9] {
        let at = frame.pixel([x, 0.25 + 0.5 * x]);
        assert!(close(pixel(&drawn.picture, at), look::BLUE), "at {x}");
        let beside = [at[0], at[1] - 20.0];
        assert!(!close(pixel(&drawn.picture, beside), look::BLUE));
    }
    // The other line leaves at y = 1: nothing of it above the axes, where a line that is not cut would go on.
    for y in 0..frame.rect.top - 4 {
        for x in 0..drawn.picture.width {
            let found = pixel(&drawn.picture, [x as f64, y as f64]);
            assert!(!close(found, look::VERMILLION), "({x}, {y})");
        }
    }
    // A dashed line has both ink and gaps.
    let along: Vec<bool> = (0..200)
        .map(|i| frame.pixel([0.05 + 0.6 * f64::from(i) / 200.0, 0.1]))
        .map(|at| close(pixel(&drawn.picture, at), look::GREEN))
        .collect();
    let inked = along.iter().filter(|&&ink| ink).count();
    assert!((60..180).contains(&inked), "{inked} of 200");
}

#[test]
fn a_legend_below_has_room_of_its_own() {
    let chart = |legend, series: usize| {
        let axis = |label: &str| Axis::new(label).within(0.0, 1.0);
        let mut chart = Chart::new("Full of curves", axis("x"), axis("y")).legend(legend);
        for k in 0..series {
            let height = (k as f64 + 0.5) / series as f64;
            let name = format!("a series of some length, {k}");
            chart = chart.line(name, look::series(k), curve(move |_| height));
        }
        Figure::single(chart).draw_with_frames().unwrap()
    };
    let below = chart(Legend::Below, 6);
    keep("legend_below", &below.picture);
    // Every curve is seen along the whole of its length, and its key under the axes.
    let frame = below.frames[0];
    let bottom = frame.rect.top + frame.rect.height;
    for k in 0..6 {
        let height = (k as f64 + 0.5) / 6.0;
        for x in [0.02, 0.3, 0.7, 0.98] {
            let found = pixel(&below.picture, frame.pixel([x, height]));
            assert!(close(found, look::series(k)), "series {k} at {x}");
        }
        let under = (bottom + 4..below.picture.height)
            .flat_map(|y| (0..below.picture.width).map(move |x| [x as f64, y as f64]));
        let key = under.filter(|&at| close(pixel(&below.picture, at), look::series(k)));
        assert!(key.count() > 60, "no key of series {k}");
    }
    // In a corner it takes no room; with more names it takes more.
    let height = |drawn: &Drawn| drawn.frames[0].rect.height;
    assert!(height(&below) < height(&chart(Legend::UpperRight, 6)));
    assert!(height(&below) < height(&chart(Legend::Below, 2)));
}

/// Side by side, titles of two lines that are wider than their panels stay in them, and above the axes.
#[test]
fn long_titles_stay_in_their_panels() {
    let title = "A method with quite a long name\n25 modes, 100 % of them of high quality";
    let chart = || Chart::new(title, Axis::bare(), Axis::bare());
    let size = [260, 300];
    let figure = Figure::grid(vec![vec![chart().into(), chart().into()]], size);
    let drawn = figure.draw_with_frames().unwrap();
    keep("titles", &drawn.picture);
    let ink = |x: usize, y: usize| pixel(&drawn.picture, [x as f64, y as f64]) != [255; 3];
    let top = drawn.frames[0].rect.top;
    let lines = [0..top / 2, top / 2..top];
    for (line, rows) in lines.into_iter().enumerate() {
        let columns: Vec<usize> = (0..2 * size[0])
            .filter(|&x| rows.clone().any(|y| ink(x, y)))
            .collect();
        for panel in 0..2 {
            let within = panel * size[0]..(panel + 1) * size[0];
            let count = columns.iter().filter(|x| within.contains(x)).count();
            assert!(count > size[0] / 3, "line {line} of panel {panel}: {count}");
        }
        for edge in [0, size[0] - 1, size[0], 2 * size[0] - 1] {
            assert!(!columns.contains(&edge), "line {line} reaches {edge}");
        }
    }
}

#[test]
fn log_axes_place_values_by_their_logarithm() {
    let decay = curve(|x| 10f64.powf(-6.0 * x));
    let band = decay
        .iter()
        .map(|p| [p[0], p[1] / 3.0, p[1] * 3.0])
        .collect();
    let chart = Chart::new("Log axis with a band", Axis::new("step"), Axis::log("norm"))
        .band("", look::BLUE, band)
        .line("decay", look::BLUE, decay);
    let drawn = Figure::single(chart).draw_with_frames().unwrap();
    keep("log", &drawn.picture);
    let at = drawn.frames[0].pixel([0.5, -3.0]);
    assert!(close(pixel(&drawn.picture, at), look::BLUE));
}

#[test]
fn bands_dots_and_bars_cover_what_they_should() {
    let bars = [3.0, 1.0, 2.0]
        .into_iter()
        .enumerate()
        .map(|(i, height)| Bar {
            x: i as f64,
            height,
            error: Some([height - 0.4, height + 0.4]),
        })
        .collect();
    let words = Axis::new("").words([(0.0, "GAN"), (1.0, "WGAN-GP"), (2.0, "PacGAN")]);
    let bars = Chart::new("Bars", words, Axis::new("modes")).mark(
        "",
        Mark::Bars {
            bars,
            width: 0.6,
            colour: look::GREEN,
        },
    );
    let dots = Chart::new(
        "Dots",
        Axis::new("").within(-1.0, 1.0),
        Axis::new("").within(-1.0, 1.0),
    )
    .equal_scale()
    .dots("", look::GENERATED, 4.0, vec![[0.5, 0.5]; 20])
    .dots("", look::GENERATED, 4.0, vec![[f64::NAN, 0.0], [5.0, 0.0]]);
    let band = Chart::new(
        "Area",
        Axis::new("").within(0.0, 1.0),
        Axis::new("").within(0.0, 1.0),
    )
    .area("", look::REAL, &curve(|x| x));
    let row = vec![bars.into(), dots.into(), band.into()];
    let figure = Figure::grid(vec![row], [420, 420]);
    let drawn = figure.draw_with_frames().unwrap();
    keep("marks", &drawn.picture);
    let at = |k: usize, p: [f64; 2]| pixel(&drawn.picture, drawn.frames[k].pixel(p));
    assert!(!close(at(0, [0.1, 2.3]), look::PAPER) && !close(at(0, [0.1, 0.2]), look::PAPER));
    assert!(close(at(0, [1.1, 2.5]), look::PAPER));
    assert!(close(at(1, [0.5, 0.5]), look::GENERATED));
    assert!(close(at(1, [0.25, -0.25]), look::PAPER));
    assert!(!close(at(2, [0.81, 0.43]), look::PAPER));
    assert!(close(at(2, [0.37, 0.77]), look::PAPER));
    // One unit is as long upwards as it is sideways.
    let [a, b] = [
        drawn.frames[1].pixel([0.0, 0.0]),
        drawn.frames[1].pixel([1.0, 1.0]),
    ];
    assert!(((b[0] - a[0]) - (a[1] - b[1])).abs() < 1e-6, "{a:?} {b:?}");
}

/// A game of one measurement: nothing for a line to go through.
#[test]
fn a_point_alone_is_a_disc() {
    let axis = || Axis::new("").within(0.0, 1.0);
    let holed = vec![[0.2, 0.2], [0.5, f64::NAN], [0.8, 0.7], [0.9, 0.7]];
    let chart = Chart::new("Alone", axis(), axis())
        .line("", look::BLUE, holed)
        .dashed("", look::VERMILLION, vec![[0.3, 0.6]])
        .line("", look::GREEN, vec![[2.0, 0.5]]);
    let drawn = Figure::single(chart).draw_with_frames().unwrap();
    keep("alone", &drawn.picture);
    let at = |p: [f64; 2]| pixel(&drawn.picture, drawn.frames[0].pixel(p));
    assert!(close(at([0.2, 0.2]), look::BLUE));
    assert!(close(at([0.3, 0.6]), look::VERMILLION));
    // A line through two points has no discs at its ends; out of view there is nothing.
    assert!(!close(at([0.8, 0.693]), look::BLUE));
    assert!(close(at([0.85, 0.7]), look::BLUE));
    let (width, height) = (drawn.picture.width, drawn.picture.height);
    let all = (0..height).flat_map(|y| (0..width).map(move |x| [x as f64, y as f64]));
    let green = all.filter(|&p| close(pixel(&drawn.picture, p), look::GREEN));
    assert_eq!(green.count(), 0);
}

#[test]
fn notes_stand_where_pictures_would() {
    let panels = |note: &str| {
        let title = "A method".to_string();
        let note = note.to_string();
        Figure::grid(vec![vec![Panel::Note { title, note }]], [200, 240])
    };
    let drawn = panels("diverged\nat step 1234567890123").draw().unwrap();
    keep("note", &drawn);
    let inked = |picture: &Picture, rows: std::ops::Range<usize>| -> Vec<usize> {
        let ink = |x: usize, y: usize| pixel(picture, [x as f64, y as f64]) != [255; 3];
        let columns = 0..picture.width;
        columns
            .filter(|&x| rows.clone().any(|y| ink(x, y)))
            .collect()
    };
    // In the middle, and within the panel however long it is.
    let columns = inked(&drawn, 100..180);
    assert!(columns.len() > 80, "{columns:?}");
    assert!(
        columns[0] > 2 && columns[columns.len() - 1] < 197,
        "{columns:?}"
    );
    assert_eq!(inked(&drawn, 190..240).len(), 0);
    assert_eq!(inked(&panels("").draw().unwrap(), 60..240).len(), 0);
}

#[test]
fn a_figure_s_legend_stands_below_its_panels() {
    let dots = |colour| Mark::Dots {
        points: vec![],
        colour,
        radius: 2.0,
        opacity: 0.4,
    };
    let legend = vec![
        ("data".to_string(), dots(look::REAL)),
        ("generated".to_string(), dots(look::GENERATED)),
    ];
    let bare = Figure::grid(vec![vec![Panel::Blank, Panel::Blank]], [200, 100]);
    let drawn = bare.clone().legend(legend.clone()).draw().unwrap();
    keep("figure_legend", &drawn);
    let below = (100..drawn.height)
        .flat_map(|y| (0..drawn.width).map(move |x| [x as f64, y as f64]))
        .map(|at| pixel(&drawn, at));
    // Keys are a little translucent.
    let red = below.filter(|[r, _, b]| *r > 200 && *b < 80).count();
    assert!(red > 40, "{red}");
    assert_eq!(bare.draw().unwrap().height, 100);
    // One below the other where there is no room beside each other.
    let narrow = Figure::grid(vec![vec![Panel::Blank]], [160, 100]).legend(legend);
    assert!(narrow.draw().unwrap().height > drawn.height);
}

#[test]
fn pictures_lie_in_their_cells_beside_charts() {
    let mut inset = Picture::filled(4, 4, 3, 0);
    inset.pixels[..3].copy_from_slice(&[250, 10, 20]);
    let cell = |title: &str| Panel::Picture {
        title: title.into(),
        picture: inset.clone(),
    };
    let chart = Chart::new("", Axis::bare(), Axis::bare()).line("", look::BLUE, curve(|x| x * x));
    let figure = Figure::grid(
        vec![
            vec![cell("first"), chart.clone().into(), Panel::Blank],
            vec![chart.into(), cell(""), cell("")],
        ],
        [240, 240],
    )
    .titled("A grid: rows are methods")
    .columns(["seed 0", "seed 1", "seed 2"])
    .rows(["GAN", "PacGAN2"]);
    let drawn = figure.draw_with_frames().unwrap();
    keep("grid", &drawn.picture);
    // The last cell's inset fills 55 x 4 = 220 pixels of 240, from 10 on.
    let left = drawn.picture.width - 240 + 10;
    let top = drawn.picture.height - 240 + 10;
    assert_eq!(
        pixel(&drawn.picture, [left as f64 + 20.0, top as f64 + 20.0]),
        [250, 10, 20]
    );
    assert_eq!(
        pixel(&drawn.picture, [left as f64 + 100.0, top as f64 + 20.0]),
        [0, 0, 0]
    );
}

#[test]
fn text_is_drawn_with_the_embedded_font() {
    // Greek, minus signs and indices: a missing glyph would be drawn as the same box for all of them.
    let ink = |title: &str| {
        let chart = Chart::new(title, Axis::bare(), Axis::bare());
        Figure::grid(vec![vec![chart.into()]], [200, 80])
            .draw()
            .unwrap()
            .pixels
    };
    let all: Vec<_> = ["ψ", "θ", "γ", "λ", "≤", "₁", "−", "*"].map(ink).into();
    for (i, a) in all.iter().enumerate() {
        assert!(all[..i].iter().all(|b| a != b), "glyph {i}");
    }
}

#[test]
fn a_gif_shows_its_frames() {
    let frame = |at: f64| {
        let chart = Chart::new("Moving", Axis::new("x"), Axis::new("y").within(0.0, 1.0)).line(
            "p",
            look::BLUE,
            curve(move |x| (-(x - at).powi(2) * 40.0).exp()),
        );
        Figure::grid(vec![vec![chart.into()]], [320, 240])
            .draw()
            .unwrap()
    };
    let frames: Vec<Picture> = (0..5).map(|i| frame(0.2 + 0.15 * f64::from(i))).collect();
    let bytes = animate(&frames, 20).unwrap();
    if let Some(folder) = std::env::var_os("GAN_GPU_FIGURES") {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(std::path::Path::new(&folder).join("moving.gif"), &bytes).unwrap();
    }
    assert_eq!(bytes, animate(&frames, 20).unwrap());
    assert!(bytes.len() < 60_000, "{} bytes", bytes.len());
    let mut options = ::gif::DecodeOptions::new();
    options.set_color_output(::gif::ColorOutput::RGBA);
    let mut decoder = options.read_info(&bytes[..]).unwrap();
    let mut screen = vec![0u8; 320 * 240 * 3];
    for (index, expected) in frames.iter().enumerate() {
        let shown = decoder.read_next_frame().unwrap().unwrap();
        assert_eq!(shown.delay, if index == 4 { 80 } else { 20 });
        for (i, p) in shown.buffer.chunks_exact(4).enumerate() {
            let (x, y) = (
                usize::from(shown.left) + i % usize::from(shown.width),
                usize::from(shown.top) + i / usize::from(shown.width),
            );
            if p[3] != 0 {
                screen[(y * 320 + x) * 3..][..3].copy_from_slice(&p[..3]);
            }
        }
        let far = screen
            .iter()
            .zip(&expected.pixels)
            .filter(|(a, b)| a.abs_diff(**b) > 40)
            .count();
        assert!(
            far < screen.len() / 500,
            "frame {index}: {far} values are off"
        );
    }
    assert!(decoder.read_next_frame().unwrap().is_none());
}

#[test]
fn frames_of_different_sizes_are_refused() {
    let frames = [Picture::filled(4, 4, 3, 0), Picture::filled(5, 4, 3, 0)];
    assert!(matches!(
        animate(&frames, 10),
        Err(PlotError::Frame { index: 1, .. })
    ));
    assert!(matches!(animate(&[], 10), Err(PlotError::Empty)));
    assert!(matches!(
        Figure::grid(vec![], [10, 10]).draw(),
        Err(PlotError::Empty)
    ));
}
