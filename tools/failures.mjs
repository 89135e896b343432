// A reporter for node:test that writes the file of each test that failed, a line each.
export default async function* failures(source) {
  for await (const { type, data } of source) {
    if (type === 'test:fail' && data.details.type !== 'suite') yield `${data.file ?? data.name}\n`;
  }
}
