'use strict';

/**
 * Lets the harness ask this process, a primary, for what `questions` names.
 * @param {Record<string, (values: object) => unknown>} questions
 */
function answer(questions) {
  process.on('message', async ({ id, question, values }) => {
    try {
      process.send({ id, answer: await questions[question](values) });
    } catch (error) {
      process.send({ id, error: error.stack });
    }
  });
  // The workers end with their primary, whatever becomes of the harness.
  process.once('disconnect', () => process.exit());
}

module.exports = answer;
