// One picture, several renditions, by sharp as its documentation shows it: one instance for the
// file, a clone of it for each variant, all of them at once.
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';

const [job, input, output, webpEffort, atOnce, threads] = process.argv.slice(2);
if (job === 'versions') {
  console.log(JSON.stringify({ node: process.versions.node, ...sharp.versions }));
  process.exit();
}
if (threads !== '0') sharp.concurrency(Number(threads));

const jpeg = (quality) => (picture) => picture.jpeg({ quality });
const VARIANTS = {
  'compressed.jpg': jpeg(85),
  'low.jpg': jpeg(60),
  'webp.webp': (picture) => picture.webp({ quality: 85, effort: Number(webpEffort) }),
  'png.png': (picture) => picture.png(),
  'thumbnail.jpg': (picture) =>
    jpeg(80)(picture.resize(200, 200, { fit: 'inside', withoutEnlargement: true })),
};
const JOBS = {
  five: Object.keys(VARIANTS),
  'without-webp': Object.keys(VARIANTS).filter((name) => name !== 'webp.webp'),
  thumbnail: ['thumbnail.jpg'],
};

async function render(name) {
  const folder = join(output, name);
  await mkdir(folder, { recursive: true });
  const source = sharp(join(input, name), { limitInputPixels: false }).autoOrient().keepIccProfile();
  const variant = (file) => VARIANTS[file](source.clone()).toFile(join(folder, file));
  await Promise.all(JOBS[job].map(variant));
}

const names = (await readdir(input)).sort();
const worker = async () => {
  for (let name = names.shift(); name !== undefined; name = names.shift()) await render(name);
};
await Promise.all(Array.from({ length: Number(atOnce) }, worker));
